-- Commits by providers: what they leave with sessions and segments.

ALTER TABLE sessions ADD COLUMN provider_state TEXT;  -- JSON; by the last commit that a provider has accepted

ALTER TABLE segments ADD COLUMN last_turn_at INTEGER NOT NULL DEFAULT 0;
-- Never earlier than it was: the session's last turn may be a later segment's.
UPDATE segments SET last_turn_at = (SELECT s.last_turn_at FROM sessions AS s WHERE s.session_id = segments.session_id);
ALTER TABLE segments ADD COLUMN provider TEXT;  -- the one that has accepted it
ALTER TABLE segments ADD COLUMN stalled INTEGER NOT NULL DEFAULT 0 CHECK (stalled IN (0, 1));

CREATE TABLE paused_providers (  -- by hand
  provider TEXT PRIMARY KEY CHECK (length(CAST(provider AS BLOB)) BETWEEN 1 AND 256),
  reason TEXT NOT NULL,
  paused_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
