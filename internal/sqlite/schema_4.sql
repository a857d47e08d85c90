-- Version 4: what is random in an index is written many at a time.

-- Where intents are found by the hash of their identity or key: intents.identity, and
-- intents.keyhash where it is not 0. The intents after the value "placed" are not here
-- yet: whoever looks for one reads the table of intents from there on.
CREATE TABLE places (
  hash   INTEGER NOT NULL,
  intent INTEGER NOT NULL,
  PRIMARY KEY (hash, intent)
) WITHOUT ROWID;
INSERT INTO places SELECT identity, id FROM intents INDEXED BY intents_identity
  WHERE identity IS NOT NULL ORDER BY identity, id;
INSERT OR IGNORE INTO places SELECT keyhash, id FROM intents INDEXED BY intents_key
  WHERE keyhash <> 0 ORDER BY keyhash, id;
DROP INDEX intents_identity;
DROP INDEX intents_key;

-- The intents of each kind below the floor. Those from the floor on are few: whoever
-- asks for a kind reads them from their table.
CREATE TABLE kindred (
  kind   INTEGER NOT NULL, -- kinds.id
  intent INTEGER NOT NULL,
  PRIMARY KEY (kind, intent)
) WITHOUT ROWID;
INSERT INTO kindred SELECT kind, id FROM intents INDEXED BY intents_kind
  WHERE id < (SELECT CAST(value AS INTEGER) FROM vals WHERE name = 'floor') ORDER BY kind, id;
DROP INDEX intents_kind;
