-- Version 2: guards, aliases, and pruning that goes on where it stopped.

-- What the guards look for: only intents of operations that have one are here.
CREATE TABLE guarded (
  intent INTEGER PRIMARY KEY,
  same   INTEGER NOT NULL, -- 64 bits of a hash of scope, operation and fingerprint
  budget INTEGER NOT NULL, -- 64 bits of a hash of scope and operation
  begun  INTEGER NOT NULL
);
CREATE INDEX guarded_same ON guarded (same, begun);
CREATE INDEX guarded_budget ON guarded (budget, begun);

-- IDs that were answered with the outcome of an intent begun under another one.
CREATE TABLE aliases (
  identity INTEGER NOT NULL, -- as in intents
  scope    BLOB,
  name     BLOB,
  repeat   INTEGER NOT NULL,
  intent   INTEGER NOT NULL
);
CREATE INDEX aliases_identity ON aliases (identity);
CREATE INDEX aliases_intent ON aliases (intent);

-- Intents that were not settled yet when pruning passed them.
CREATE TABLE late (
  id INTEGER PRIMARY KEY
);
