-- The journal, version 1: what a new one begins with. The files schema_2.sql and so
-- on bring it to each later version, a new one too, so that there is one way only.
--
-- Rows of intents, changes and outcomes are only ever
-- added; pruning shortens and later drops those of settled intents.

-- Small named values: the journal's random id, the clock's offset, the floor.
CREATE TABLE vals (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;

-- One row for each place in the lock file. An owner is a place and an epoch, and
-- is dead when the place's lock can be had, or when its epoch is newer.
CREATE TABLE owners (
  slot  INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL
);

-- What many intents share: the operation's name and the terms they began under.
CREATE TABLE kinds (
  id        INTEGER PRIMARY KEY,
  operation BLOB NOT NULL,
  terms     BLOB NOT NULL,
  UNIQUE (operation, terms)
);

CREATE TABLE intents (
  id          INTEGER PRIMARY KEY,
  identity    INTEGER,          -- 64 bits of a hash of the identity; NULL without an ID
  keyhash     INTEGER NOT NULL, -- 64 bits of a hash of the key
  key         BLOB NOT NULL,
  kind        INTEGER NOT NULL, -- kinds.id
  scope       BLOB,
  name        BLOB,             -- Operation.ID
  repeat      INTEGER NOT NULL,
  cost        INTEGER NOT NULL,
  previous    BLOB,             -- key of the link before
  fingerprint BLOB NOT NULL,
  rules       INTEGER NOT NULL,
  begun       INTEGER NOT NULL, -- journal time, nanoseconds since 1970
  owner       INTEGER NOT NULL, -- epoch * 256 + slot
  head        BLOB,
  payload     BLOB,
  forgotten   INTEGER,          -- when payload and outcome were pruned
  checksum    INTEGER NOT NULL
);
-- A hash says where to look; the row says whether it is there.
CREATE INDEX intents_identity ON intents (identity) WHERE identity IS NOT NULL;
CREATE INDEX intents_keyhash ON intents (keyhash);
CREATE INDEX intents_kind ON intents (kind);

-- Claims, marks, releases, doubts: everything that is not a final outcome.
CREATE TABLE changes (
  intent   INTEGER NOT NULL,
  version  INTEGER NOT NULL,
  kind     INTEGER NOT NULL,
  owner    INTEGER NOT NULL, -- 0: nobody
  standing BLOB NOT NULL,
  at       INTEGER NOT NULL,
  reason   BLOB,
  note     BLOB,
  tries    BLOB,
  checksum INTEGER NOT NULL,
  PRIMARY KEY (intent, version)
) WITHOUT ROWID;

-- Final outcomes. The id is the intent's id * 4096 + its generation: a second one
-- of the same generation cannot be inserted.
CREATE TABLE outcomes (
  id       INTEGER PRIMARY KEY,
  version  INTEGER NOT NULL,
  kind     INTEGER NOT NULL,
  state    INTEGER NOT NULL,
  standing BLOB NOT NULL,
  at       INTEGER NOT NULL,
  reason   BLOB,
  note     BLOB,
  tries    BLOB,
  status   INTEGER,          -- NULL: no reply
  head     BLOB,
  body     BLOB,
  checksum INTEGER NOT NULL
);
CREATE INDEX outcomes_failed ON outcomes (id) WHERE state = 2;

-- Intents below the floor that were open when it passed them, and those opened
-- again: recovery reads these, and the intents from the floor on.
CREATE TABLE parked (
  id INTEGER PRIMARY KEY -- as in outcomes
);

CREATE TABLE notes (
  id     INTEGER PRIMARY KEY,
  intent INTEGER NOT NULL,
  at     INTEGER NOT NULL,
  reason BLOB,
  text   BLOB
);
CREATE INDEX notes_intent ON notes (intent);

CREATE TABLE counters (
  operation BLOB NOT NULL,
  reason    BLOB NOT NULL,
  count     INTEGER NOT NULL,
  cost      INTEGER NOT NULL,
  PRIMARY KEY (operation, reason)
) WITHOUT ROWID;
