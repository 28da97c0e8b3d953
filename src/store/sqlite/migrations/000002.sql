-- The target of `mpe store copy`: what is copied into this database, and whether it is complete. No
-- row: the database was never a target.

CREATE TABLE MPE_StoreCopy (
  Id INTEGER PRIMARY KEY CHECK (Id = 1),
  -- The source when the copy began: rows and digest of each table, and the site hash.
  SourceState TEXT NOT NULL CHECK (json_type(SourceState) = 'object'),
  BeganAt INTEGER NOT NULL,
  -- Null while rows are missing: the database is refused by every other command.
  FinishedAt INTEGER NULL
) STRICT;
CREATE TRIGGER MPE_StoreCopy_NoDelete BEFORE DELETE ON MPE_StoreCopy BEGIN SELECT RAISE(ABORT, 'a copy is finished or started again with an empty database'); END;
