-- What keeps a demo that runs all day from filling the disk.
DELETE FROM flow.workflow_executions WHERE id IN (SELECT id FROM flow.workflow_executions WHERE status = 'running' AND started_at < now() - interval '10 seconds' LIMIT 1000 FOR UPDATE SKIP LOCKED);
DELETE FROM flow.execution_logs WHERE created_at BETWEEN now() - interval '1 day' AND now() - interval '1 minute';
