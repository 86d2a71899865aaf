//! What a client has drawn from sequences in another entry of `[databases]`, where a rule has sent its statement, is forgotten with the rest
//! of its session.

use crate::entries::{LOGS, ORDERS, Pair, run};
use crate::support::raw::*;

#[test]
fn what_was_drawn_elsewhere_is_forgotten_when_the_session_is_discarded() {
    let pair = Pair::new("forgetting", &[LOGS]);
    for at in [Pair::at_home, Pair::at_logs] {
        at(&pair, "CREATE TABLE logs.numbered (a serial)");
    }
    let draw = "INSERT INTO logs.numbered DEFAULT VALUES RETURNING a";
    let ask = "SELECT currval('logs.numbered_a_seq') FROM logs.numbered LIMIT 1";
    let by_query = |client: &mut Raw, text: &str| client.ask(text);
    let forms: [fn(&mut Raw, &str) -> Vec<Frame>; 2] = [by_query, run];
    for (text, form) in ["DISCARD ALL", "DISCARD SEQUENCES"].into_iter().flat_map(|text| forms.map(|form| (text, form)))
    {
        let mut client = pair.client();
        // So that its application is known to ask.
        client.ask(ask);
        let drawn = client.value(draw);
        assert_eq!(client.value(ask), drawn, "{text}");
        client.ask(ORDERS);
        assert_eq!(client.value(ask), drawn, "{text}");
        assert_eq!(error_code(&form(&mut client, text)), None, "{text}");
        assert_eq!(error_code(&client.ask(ask)).as_deref(), Some("55000"), "{text}");
        let drawn = client.value(draw);
        assert_eq!(client.value(ask), drawn, "{text}");
    }
}
