-- The database, and one login for each kind of process. For sqlcmd, with the passwords in variables
-- of that name (create-logins.sh sets them). It changes nothing that is there, so it may run again;
-- a login that exists keeps its password.
--
-- The roles get their rights from `mpe migrate --roles`. Who owns the database already needs this file
-- for the logins alone.
:on error exit

IF DB_ID('mpe') IS NULL CREATE DATABASE mpe;
GO
-- Readers and writers do not wait for each other; an acknowledged commit is on disk.
IF EXISTS (SELECT 1 FROM sys.databases WHERE name = 'mpe' AND is_read_committed_snapshot_on = 0)
  ALTER DATABASE mpe SET READ_COMMITTED_SNAPSHOT ON WITH ROLLBACK IMMEDIATE;
IF EXISTS (SELECT 1 FROM sys.databases WHERE name = 'mpe' AND delayed_durability_desc <> 'DISABLED')
  ALTER DATABASE mpe SET DELAYED_DURABILITY = DISABLED;
GO

IF SUSER_ID('mpe-migrate') IS NULL
  CREATE LOGIN [mpe-migrate] WITH PASSWORD = '$(MigratePassword)', DEFAULT_DATABASE = mpe;
IF SUSER_ID('mpe-gateway') IS NULL
  CREATE LOGIN [mpe-gateway] WITH PASSWORD = '$(GatewayPassword)', DEFAULT_DATABASE = mpe;
IF SUSER_ID('mpe-worker') IS NULL
  CREATE LOGIN [mpe-worker] WITH PASSWORD = '$(WorkerPassword)', DEFAULT_DATABASE = mpe;
IF SUSER_ID('mpe-recovery') IS NULL
  CREATE LOGIN [mpe-recovery] WITH PASSWORD = '$(RecoveryPassword)', DEFAULT_DATABASE = mpe;
IF SUSER_ID('mpe-admin') IS NULL
  CREATE LOGIN [mpe-admin] WITH PASSWORD = '$(AdminPassword)', DEFAULT_DATABASE = mpe;
GO

USE mpe;
GO
IF DATABASE_PRINCIPAL_ID('mpe-migrate') IS NULL CREATE USER [mpe-migrate] FOR LOGIN [mpe-migrate];
IF DATABASE_PRINCIPAL_ID('mpe-gateway') IS NULL CREATE USER [mpe-gateway] FOR LOGIN [mpe-gateway];
IF DATABASE_PRINCIPAL_ID('mpe-worker') IS NULL CREATE USER [mpe-worker] FOR LOGIN [mpe-worker];
IF DATABASE_PRINCIPAL_ID('mpe-recovery') IS NULL CREATE USER [mpe-recovery] FOR LOGIN [mpe-recovery];
IF DATABASE_PRINCIPAL_ID('mpe-admin') IS NULL CREATE USER [mpe-admin] FOR LOGIN [mpe-admin];
IF DATABASE_PRINCIPAL_ID('mpe_gateway') IS NULL CREATE ROLE mpe_gateway;
IF DATABASE_PRINCIPAL_ID('mpe_worker') IS NULL CREATE ROLE mpe_worker;
IF DATABASE_PRINCIPAL_ID('mpe_recovery') IS NULL CREATE ROLE mpe_recovery;
IF DATABASE_PRINCIPAL_ID('mpe_operator') IS NULL CREATE ROLE mpe_operator;
GO
-- It makes tables, roles and grants, and runs once at a time: no process that stays has this login.
ALTER ROLE db_owner ADD MEMBER [mpe-migrate];
ALTER ROLE mpe_gateway ADD MEMBER [mpe-gateway];
ALTER ROLE mpe_worker ADD MEMBER [mpe-worker];
ALTER ROLE mpe_recovery ADD MEMBER [mpe-recovery];
-- People: the commands that run the site, site init included. It reads no stored secret; for the
-- commands that open them it gets the role of the recovery service for as long as they take.
ALTER ROLE mpe_operator ADD MEMBER [mpe-admin];
GO
