-- A form is submitted: a new run, its log, the audit trail, in one transaction.
\set run random(1, 1500)
\set workspace random(1, 3)
BEGIN;
INSERT INTO flow.workflow_executions (workspace_id, workflow_id, status) VALUES (flow.uid(1, :workspace), flow.uid(2, 1), 'queued');
INSERT INTO flow.execution_logs (execution_id, workspace_id, level, message) VALUES (flow.uid(7, :run), flow.uid(1, :workspace), 'info', 'step 1'), (flow.uid(7, :run), flow.uid(1, :workspace), 'info', 'step 2');
UPDATE flow.leads SET status = 'contacted' WHERE id = flow.uid(3, 1 + :run % 600);
COMMIT;
