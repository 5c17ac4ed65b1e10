-- The first schema. Times are milliseconds since 1970 UTC; keys are 16 bytes; names are 1 to 256 bytes.
-- Rows are the state as of a session's last structural change; the completed turns since then stand in `marks`.

CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
  uid INTEGER PRIMARY KEY CHECK (uid >= 0),
  sessions INTEGER NOT NULL CHECK (sessions >= 0)  -- known sessions, so that nobody has to count them
) STRICT;

CREATE TABLE agents (
  agent_id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid INTEGER NOT NULL CHECK (uid >= 0),
  name TEXT NOT NULL CHECK (length(CAST(name AS BLOB)) BETWEEN 1 AND 256),
  epoch INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),  -- of the latest registration; 0 = only named in calls
  agent_group TEXT,
  provider TEXT,
  fallback TEXT,
  served INTEGER NOT NULL DEFAULT 0 CHECK (served IN (0, 1)),
  lost INTEGER NOT NULL DEFAULT 0 CHECK (lost IN (0, 1)),
  seen_at INTEGER NOT NULL,  -- its latest registration or loss
  UNIQUE (uid, name),
  CHECK (provider IS NULL OR fallback IS NULL)
) STRICT;

CREATE TABLE sessions (
  session_id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid INTEGER NOT NULL CHECK (uid >= 0),
  name TEXT NOT NULL CHECK (length(CAST(name AS BLOB)) BETWEEN 1 AND 256),
  generation INTEGER NOT NULL,
  watermark INTEGER NOT NULL,
  accepted INTEGER NOT NULL,
  agent_id INTEGER REFERENCES agents (agent_id),  -- the current agent
  external_id TEXT,
  last_turn_at INTEGER NOT NULL,  -- 0 = never
  UNIQUE (uid, name),
  CHECK (0 <= watermark AND watermark <= accepted AND accepted <= generation)
) STRICT;
CREATE INDEX sessions_by_agent ON sessions (agent_id) WHERE agent_id IS NOT NULL;

-- Dirty generations only: a session without rows here, and without marks, is clean.
CREATE TABLE segments (
  session_id INTEGER NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE,
  start_generation INTEGER NOT NULL CHECK (start_generation >= 1),
  end_generation INTEGER NOT NULL,
  owner_id INTEGER REFERENCES agents (agent_id),  -- NULL = ownerless
  external_id TEXT,
  phase TEXT NOT NULL CHECK (phase IN ('pending', 'in_flight', 'confirming', 'confirmed', 'stuck')),
  due INTEGER NOT NULL CHECK (due IN (0, 1)),
  reason TEXT,  -- the boundary that made it due
  sealed INTEGER NOT NULL CHECK (sealed IN (0, 1)),
  key BLOB CHECK (length(key) = 16),
  commit_id INTEGER,  -- its latest attempt
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  began_at INTEGER NOT NULL,
  next_attempt_at INTEGER NOT NULL,
  last_error TEXT,
  evidence TEXT,
  PRIMARY KEY (session_id, start_generation),
  CHECK (end_generation >= start_generation),
  CHECK (phase <> 'in_flight' OR (due = 1 AND owner_id IS NOT NULL AND commit_id IS NOT NULL)),
  CHECK (sealed = 0 OR key IS NOT NULL),
  CHECK (phase NOT IN ('in_flight', 'confirming') OR key IS NOT NULL),
  CHECK (phase <> 'confirming' OR sealed = 1)
) STRICT, WITHOUT ROWID;
CREATE INDEX segments_by_owner ON segments (owner_id) WHERE owner_id IS NOT NULL;

CREATE TABLE open_turns (
  session_id INTEGER NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE,
  turn TEXT NOT NULL,
  agent_id INTEGER REFERENCES agents (agent_id),
  began_at INTEGER NOT NULL,
  PRIMARY KEY (session_id, turn)
) STRICT, WITHOUT ROWID;
CREATE INDEX open_turns_by_agent ON open_turns (agent_id) WHERE agent_id IS NOT NULL;

-- The log: one appended row a completed turn, in order. Rows are moved into sessions, segments and turns later, by
-- whole runs, so that marking never touches random pages. No foreign keys: each would cost a look-up a mark, and a
-- row whose session has been forgotten meanwhile is simply skipped.
CREATE TABLE marks (
  mark_id INTEGER PRIMARY KEY,
  session_id INTEGER NOT NULL,
  generation INTEGER NOT NULL CHECK (generation >= 1),
  agent_id INTEGER,  -- the owner; NULL = ownerless
  turn TEXT,
  at INTEGER NOT NULL
) STRICT;

-- Turn ids that are remembered: of dirty turns, of the latest settled ones, and of the latest cancelled ones, whose
-- generation is only their place among the cancelled.
CREATE TABLE turns (
  session_id INTEGER NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE,
  generation INTEGER NOT NULL CHECK (generation >= 0),
  turn TEXT NOT NULL,
  cancelled INTEGER NOT NULL CHECK (cancelled IN (0, 1)),
  PRIMARY KEY (session_id, generation, turn)
) STRICT, WITHOUT ROWID;

-- The history: one row an attempt, and one for whatever was settled, abandoned or forgotten without one. Names, not
-- references: it outlives sessions and agents.
CREATE TABLE attempts (
  commit_id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid INTEGER NOT NULL CHECK (uid >= 0),
  session TEXT NOT NULL,
  key BLOB CHECK (length(key) = 16),
  owner TEXT,
  asked TEXT,  -- who was asked: an agent or a provider
  start_generation INTEGER NOT NULL CHECK (start_generation >= 1),
  end_generation INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('in_flight', 'confirming', 'committed', 'skipped', 'failed', 'in_doubt',
                                       'settled', 'abandoned', 'void')),
  attempt INTEGER NOT NULL CHECK (attempt >= 0),
  reason TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  finished_at INTEGER,
  error TEXT,
  evidence TEXT,
  CHECK (end_generation >= start_generation),
  CHECK ((state IN ('in_flight', 'confirming')) = (finished_at IS NULL))
) STRICT;
CREATE INDEX attempts_by_session ON attempts (uid, session, commit_id);
CREATE INDEX attempts_by_user ON attempts (uid);
