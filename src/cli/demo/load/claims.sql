-- A worker takes the next job from a queue; SKIP LOCKED lets many do so at once.
WITH next AS (SELECT id FROM flow.workflow_executions WHERE status = 'queued' ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
UPDATE flow.workflow_executions e SET status = 'running', started_at = now() FROM next WHERE e.id = next.id RETURNING e.id;
