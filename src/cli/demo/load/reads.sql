-- What a dashboard asks: key lookups, a page of a list, a join.
\set tenant random(1, 2)
\set n random(1, 6000)
SELECT id, status, started_at FROM obs.executions WHERE id = flow.uid(21, :n);
SELECT id, name, role FROM imag.users WHERE lower(email) = 'user42@example.test';
SELECT id, status, duration_ms FROM obs.executions WHERE tenant_id = flow.uid(22, :tenant) AND environment_id = flow.uid(23, 1) ORDER BY started_at DESC LIMIT 50;
