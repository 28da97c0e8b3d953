-- The target of `mpe store copy`: what is copied into this database, and whether it is complete. No
-- row: the database was never a target.

CREATE TABLE dbo.MPE_StoreCopy (
  Id int NOT NULL CONSTRAINT PK_MPE_StoreCopy PRIMARY KEY
    CONSTRAINT CK_MPE_StoreCopy_One CHECK (Id = 1),
  -- The source when the copy began: rows and digest of each table, and the site hash.
  SourceState nvarchar(max) NOT NULL CONSTRAINT CK_MPE_StoreCopy_SourceState
    CHECK (ISJSON(SourceState) = 1 AND LEFT(SourceState, 1) = '{'),
  BeganAt datetime2(3) NOT NULL,
  -- Null while rows are missing: the database is refused by every other command.
  FinishedAt datetime2(3) NULL
);
GO

CREATE TRIGGER dbo.MPE_StoreCopy_NoDelete ON dbo.MPE_StoreCopy AFTER DELETE AS
IF EXISTS (SELECT 1 FROM deleted)
  THROW 51001, N'a copy is finished, or started again with an empty database', 1;
GO
