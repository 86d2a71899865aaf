-- Count one more, and read what is left: a stale answer would let a workspace exceed its quota.
\set workspace random(1, 3)
UPDATE flow.usage_quotas SET quota_used = quota_used + 1 WHERE workspace_id = flow.uid(1, :workspace) AND quota_key = 'executions';
SELECT quota_limit, quota_used, quota_limit - quota_used AS remaining FROM flow.usage_quotas WHERE workspace_id = flow.uid(1, :workspace) AND quota_key = 'executions' AND period_start <= CURRENT_DATE AND period_end >= CURRENT_DATE;
