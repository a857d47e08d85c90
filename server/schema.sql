-- What SameTransaction keeps in the handlers' own database. Times are nanoseconds
-- since 1970.

CREATE TABLE idem_keys (
  id          VARCHAR(64) PRIMARY KEY, -- sha256 of route, scope and key
  route       BLOB NOT NULL,
  scope       BLOB NOT NULL,
  client_key  TEXT NOT NULL,
  generation  BIGINT NOT NULL,         -- 2 and more: the key had expired, and was executed anew
  request     TEXT NOT NULL,
  fingerprint VARCHAR(64) NOT NULL,
  raw         VARCHAR(64) NOT NULL,
  rules       INTEGER NOT NULL,
  retention   BIGINT NOT NULL,
  begun       BIGINT NOT NULL,
  ended       BIGINT NOT NULL,         -- 0: committed without a reply, which is uncertain
  status      INTEGER NOT NULL,        -- 0: there is no reply, or it was pruned
  head        BLOB NOT NULL,
  body        BLOB NOT NULL,
  note        TEXT NOT NULL
);

CREATE INDEX idem_keys_ended ON idem_keys (ended, begun, id);

CREATE TABLE idem_values (
  name  VARCHAR(64) PRIMARY KEY,
  value BLOB NOT NULL
);
