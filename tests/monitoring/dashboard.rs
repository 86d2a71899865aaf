//! config/grafana/pgotter.json as Grafana takes it: panels, what they ask, and what stands for a choice in that.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What Grafana puts in by itself, and what it would be for a short look.
const BUILT_IN: [(&str, &str); 2] = [("__rate_interval", "1m"), ("__range", "1m")];

pub fn read() -> Value {
    serde_json::from_str(include_str!("../../config/grafana/pgotter.json")).expect("the dashboard is JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// What a panel asks.
#[derive(Debug)]
pub struct Asked {
    pub panel: String,
    /// With values for its variables.
    pub expression: String,
    /// Labels that its legend shows.
    pub shown: Vec<String>,
    pub is_annotation: bool,
}

/// Everything that is asked, of annotations too.
pub fn asked(dashboard: &Value) -> Vec<Asked> {
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().expect("a panel has a title").to_owned();
        list(panel, "targets").iter().map(move |target| ask(&title, target)).collect::<Vec<_>>()
    };
    let annotations =
        list(&dashboard["annotations"], "list").iter().filter(|annotation| annotation["expr"].is_string());
    let of_annotations = annotations.map(|annotation| ask("annotations", annotation));
    list(dashboard, "panels").iter().flat_map(of_panel).chain(of_annotations).collect()
}

fn ask(panel: &str, target: &Value) -> Asked {
    let expression = target["expr"].as_str().unwrap_or_else(|| panic!("{panel} asks nothing: {target}"));
    let legend = target["legendFormat"].as_str().unwrap_or_default();
    let shown = legend.split("{{").skip(1).filter_map(|part| Some(part.split_once("}}")?.0.trim().to_owned()));
    let is_annotation = target["titleFormat"].is_string();
    Asked { panel: panel.to_owned(), expression: with_values(expression), shown: shown.collect(), is_annotation }
}

/// Every database and every PgOtter is chosen.
pub fn with_values(expression: &str) -> String {
    let all = [("database", ".*"), ("instance", ".*")];
    let text = BUILT_IN
        .iter()
        .chain(&all)
        .fold(expression.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value));
    assert!(!text.contains('$'), "nothing stands for a variable in {text}");
    text
}

/// The metric and the label that each variable has its values from.
pub fn variables(dashboard: &Value) -> Vec<(String, String)> {
    let queries = list(&dashboard["templating"], "list").iter().filter(|variable| variable["type"] == "query");
    let parts = |variable: &Value| {
        let query = variable["query"]["query"].as_str().expect("a variable has a query");
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).expect(query);
        let (metric, label) = inner.rsplit_once(',').expect(query);
        assert!(variable["allValue"] == ".*" && variable["datasource"]["uid"] == "${datasource}", "{variable}");
        (with_values(metric.trim()), label.trim().to_owned())
    };
    queries.map(parts).collect()
}

#[test]
fn panels_have_ids_of_their_own_and_places_of_their_own_and_say_what_they_show() {
    let dashboard = read();
    let (mut ids, mut titles, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    let mut section = "";
    for panel in list(&dashboard, "panels") {
        let (title, id) = (panel["title"].as_str().unwrap(), panel["id"].as_u64().unwrap());
        assert!(ids.insert(id), "{id} is twice there: {title}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title}");
        for y in place("y")..place("y") + place("h") {
            for x in place("x")..place("x") + place("w") {
                let other = taken.insert((x, y), title);
                assert!(other.is_none(), "{title} lies on {other:?}");
            }
        }
        if panel["type"] == "row" {
            section = title;
            continue;
        }
        assert!(titles.insert((section, title)), "{title} is twice there");
        assert!(
            panel["description"].as_str().is_some_and(|text| text.ends_with('.')),
            "{title} says not what it shows"
        );
        let sources = list(panel, "targets").iter().chain([panel]).map(|part| &part["datasource"]["uid"]);
        assert!(sources.into_iter().all(|uid| uid == "${datasource}"), "{title}");
        assert!(!list(panel, "targets").is_empty(), "{title} asks nothing");
    }
    assert!(ids.len() > 40 && dashboard["uid"] == "pgotter" && dashboard["schemaVersion"].as_u64() >= Some(38));
}
