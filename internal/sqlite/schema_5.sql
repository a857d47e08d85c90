-- Version 5: a claim is decided like a beginning, so that an ID whose own intent has
-- failed can become an alias.

-- The newest intent of the alias's own identity when the alias was made; 0: there was
-- none. An alias that is older than the newest intent of its identity no longer holds.
ALTER TABLE aliases ADD COLUMN after INTEGER NOT NULL DEFAULT 0;
