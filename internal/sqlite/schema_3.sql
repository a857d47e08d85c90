-- Version 3: a key made by the journal leads to its identity, and is in no index.
-- What is random in an index costs a page for each row once there are many rows.

-- intents.keyhash is 0 where the key leads to intents.identity.
DROP INDEX intents_keyhash;
CREATE INDEX intents_key ON intents (keyhash) WHERE keyhash <> 0;
