-- The one slow query: a dashboard summary that somebody should rewrite.
SELECT w.id, w.name, count(DISTINCT l.id) AS total_leads, count(DISTINCT e.id) AS total_executions, pg_sleep(0.3) FROM flow.workflows w LEFT JOIN flow.leads l ON l.workflow_id = w.id LEFT JOIN flow.workflow_executions e ON e.workflow_id = w.id WHERE w.id = flow.uid(2, 5) GROUP BY w.id;
