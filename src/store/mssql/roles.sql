-- Roles of least privilege, one a kind of process and one for people. An owner of the database runs this after the
-- migrations (`mpe migrate --roles`), again after each release, and as often as it likes. Then each
-- login gets one role:
--
--     CREATE USER [mpe-gateway] FOR LOGIN [mpe-gateway];
--     ALTER ROLE mpe_gateway ADD MEMBER [mpe-gateway];
--
-- A process reads its GRANT lines here at its start and names those that it lacks, so each grant is
-- one line of this form: GRANT <rights> ON dbo.<object> [(<columns>)] TO <role>;
--
-- What the roles keep apart
--   * Nobody but the recovery service reads a stored secret or a wrapped data key.
--   * No role may UPDATE or DELETE in a table that only grows; the triggers say no as well.
--   * A gateway writes nothing.
--   * Operators run the site and read no secret; who must, gets the role of the recovery service as well.
--   * Published views need a grant of their own: give it to the people whose queries use them.

IF DATABASE_PRINCIPAL_ID('mpe_gateway') IS NULL CREATE ROLE mpe_gateway;
IF DATABASE_PRINCIPAL_ID('mpe_worker') IS NULL CREATE ROLE mpe_worker;
IF DATABASE_PRINCIPAL_ID('mpe_recovery') IS NULL CREATE ROLE mpe_recovery;
IF DATABASE_PRINCIPAL_ID('mpe_operator') IS NULL CREATE ROLE mpe_operator;
IF DATABASE_PRINCIPAL_ID('mpe_migration') IS NULL CREATE ROLE mpe_migration;
GO

---------------------------------------------------------------------------------------------------
-- Gateway: who a client is, and what became of its message

GRANT SELECT ON dbo.MPE_Migrations TO mpe_gateway;
GRANT SELECT ON dbo.MPE_StoreCopy TO mpe_gateway;
GRANT SELECT ON dbo.MPE_Site TO mpe_gateway;
GRANT SELECT ON dbo.MPE_SiteDocuments TO mpe_gateway;
GRANT SELECT ON dbo.MPE_Clients TO mpe_gateway;
GRANT SELECT ON dbo.MPE_ClientKeys TO mpe_gateway;
GRANT SELECT ON dbo.MPE_ClientFlags TO mpe_gateway;
GRANT SELECT ON dbo.MPE_Outcomes TO mpe_gateway;
GRANT SELECT ON dbo.MPE_Quarantine TO mpe_gateway;
GRANT SELECT ON dbo.MPE_DeadLetters TO mpe_gateway;
GO

---------------------------------------------------------------------------------------------------
-- Worker: commits. Of stored secrets it sees which generations there are, never their content; of
-- data keys which there are, never a wrapped one.

GRANT SELECT ON dbo.MPE_Migrations TO mpe_worker;
GRANT SELECT ON dbo.MPE_StoreCopy TO mpe_worker;
GRANT SELECT ON dbo.MPE_Site TO mpe_worker;
GRANT SELECT ON dbo.MPE_SiteDocuments TO mpe_worker;
GRANT SELECT ON dbo.MPE_SealingKeys TO mpe_worker;
GRANT SELECT ON dbo.MPE_FingerprintKeys TO mpe_worker;
GRANT SELECT ON dbo.MPE_Policies TO mpe_worker;
GRANT SELECT ON dbo.MPE_PolicyRings TO mpe_worker;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_ManagementPoints TO mpe_worker;
GRANT SELECT ON dbo.MPE_EnrolmentTokens TO mpe_worker;
GRANT UPDATE ON dbo.MPE_EnrolmentTokens (UsesLeft) TO mpe_worker;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_Clients TO mpe_worker;
GRANT SELECT, INSERT ON dbo.MPE_ClientKeys TO mpe_worker;
GRANT SELECT, INSERT ON dbo.MPE_ClientFlags TO mpe_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.MPE_PendingRegistrations TO mpe_worker;
GRANT SELECT, INSERT ON dbo.MPE_DataKeys TO mpe_worker;
GRANT INSERT ON dbo.MPE_DataKeyWraps TO mpe_worker;
GRANT SELECT ON dbo.MPE_DataKeyWraps (DataKeyId, CertificateThumbprint) TO mpe_worker;
GRANT SELECT, INSERT ON dbo.MPE_Volumes TO mpe_worker;
GRANT SELECT, INSERT ON dbo.MPE_Keys TO mpe_worker;
GRANT INSERT ON dbo.MPE_KeySecrets TO mpe_worker;
GRANT SELECT ON dbo.MPE_KeySecrets (SecretId, Generation, Form) TO mpe_worker;
GRANT SELECT, INSERT ON dbo.MPE_KeyProofs TO mpe_worker;
GRANT SELECT, INSERT ON dbo.MPE_TpmOwnerAuths TO mpe_worker;
GRANT INSERT ON dbo.MPE_TpmOwnerAuthSecrets TO mpe_worker;
GRANT SELECT ON dbo.MPE_TpmOwnerAuthSecrets (SecretId, Generation, Form) TO mpe_worker;
GRANT SELECT, INSERT ON dbo.MPE_TpmOwnerAuthProofs TO mpe_worker;
GRANT SELECT ON dbo.MPE_HealthySecrets TO mpe_worker;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_Reports TO mpe_worker;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_ClientStates TO mpe_worker;
GRANT SELECT, INSERT, DELETE ON dbo.MPE_ClientUsers TO mpe_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.MPE_Outcomes TO mpe_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.MPE_Quarantine TO mpe_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.MPE_DeadLetters TO mpe_worker;
GRANT SELECT ON dbo.MPE_RotationRequests TO mpe_worker;
GRANT SELECT, INSERT ON dbo.MPE_RotationReports TO mpe_worker;
GRANT SELECT, INSERT ON dbo.MPE_RotationDeliveries TO mpe_worker;
GRANT SELECT ON dbo.MPE_Exposures TO mpe_worker;
GRANT SELECT ON dbo.MPE_ExposureRanks TO mpe_worker;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_Probe TO mpe_worker;
GO

---------------------------------------------------------------------------------------------------
-- Recovery service: reads secrets; writes audit, exposure, rotation and damage, and its own data key
-- (the sentinel); for its pages policies, registrations that waited, and who is signed in. It stores no
-- key and decides no message.

GRANT SELECT ON dbo.MPE_Migrations TO mpe_recovery;
GRANT SELECT ON dbo.MPE_StoreCopy TO mpe_recovery;
GRANT SELECT ON dbo.MPE_Site TO mpe_recovery;
GRANT SELECT ON dbo.MPE_SiteDocuments TO mpe_recovery;
GRANT SELECT ON dbo.MPE_SealingKeys TO mpe_recovery;
GRANT SELECT, INSERT ON dbo.MPE_SealingKeyArchive TO mpe_recovery;
GRANT SELECT ON dbo.MPE_FingerprintKeys TO mpe_recovery;
GRANT SELECT, INSERT ON dbo.MPE_DataKeys TO mpe_recovery;
GRANT SELECT, INSERT ON dbo.MPE_DataKeyWraps TO mpe_recovery;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_Policies TO mpe_recovery;
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.MPE_PolicyRings TO mpe_recovery;
GRANT SELECT, INSERT ON dbo.MPE_PolicyEvents TO mpe_recovery;
GRANT SELECT ON dbo.MPE_Devices TO mpe_recovery;
GRANT SELECT ON dbo.MPE_ManagementPoints TO mpe_recovery;
GRANT SELECT ON dbo.MPE_ClientFlags TO mpe_recovery;
GRANT SELECT ON dbo.MPE_MachineEvents TO mpe_recovery;
GRANT SELECT ON dbo.MPE_Volumes TO mpe_recovery;
GRANT SELECT ON dbo.MPE_Keys TO mpe_recovery;
GRANT SELECT ON dbo.MPE_KeySecrets TO mpe_recovery;
GRANT SELECT ON dbo.MPE_KeyProofs TO mpe_recovery;
GRANT SELECT ON dbo.MPE_TpmOwnerAuths TO mpe_recovery;
GRANT SELECT ON dbo.MPE_TpmOwnerAuthSecrets TO mpe_recovery;
GRANT SELECT ON dbo.MPE_TpmOwnerAuthProofs TO mpe_recovery;
GRANT SELECT ON dbo.MPE_HealthySecrets TO mpe_recovery;
GRANT SELECT, INSERT ON dbo.MPE_SecretDamage TO mpe_recovery;
GRANT SELECT ON dbo.MPE_Reports TO mpe_recovery;
GRANT SELECT ON dbo.MPE_ClientStates TO mpe_recovery;
GRANT SELECT ON dbo.MPE_ClientUsers TO mpe_recovery;
GRANT SELECT ON dbo.MPE_Outcomes TO mpe_recovery;
GRANT SELECT ON dbo.MPE_Quarantine TO mpe_recovery;
GRANT SELECT ON dbo.MPE_DeadLetters TO mpe_recovery;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_RotationRequests TO mpe_recovery;
GRANT SELECT ON dbo.MPE_RotationReports TO mpe_recovery;
GRANT SELECT ON dbo.MPE_RotationDeliveries TO mpe_recovery;
GRANT SELECT, INSERT ON dbo.MPE_Exposures TO mpe_recovery;
GRANT SELECT, INSERT ON dbo.MPE_ExposureRanks TO mpe_recovery;
GRANT SELECT, INSERT ON dbo.MPE_Audit TO mpe_recovery;
GRANT SELECT, UPDATE ON dbo.MPE_AuditHead TO mpe_recovery;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_AuditSinks TO mpe_recovery;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_Incidents TO mpe_recovery;
GRANT SELECT, INSERT ON dbo.MPE_IncidentMachines TO mpe_recovery;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_Clients TO mpe_recovery;
GRANT SELECT, INSERT ON dbo.MPE_ClientKeys TO mpe_recovery;
GRANT SELECT, DELETE ON dbo.MPE_PendingRegistrations TO mpe_recovery;
GRANT SELECT, UPDATE ON dbo.MPE_Accounts TO mpe_recovery;
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.MPE_SignInFailures TO mpe_recovery;
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.MPE_Sessions TO mpe_recovery;
GRANT SELECT ON dbo.MPE_BreakGlass TO mpe_recovery;
GRANT UPDATE ON dbo.MPE_BreakGlass (LastStep, LastUse) TO mpe_recovery;
GRANT SELECT, INSERT ON dbo.MPE_MachineNumbers TO mpe_recovery;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_Probe TO mpe_recovery;
GRANT SELECT ON dbo.RecoveryAndHardwareCore_Machines TO mpe_recovery;
GRANT SELECT ON dbo.RecoveryAndHardwareCore_Volumes TO mpe_recovery;
GO

---------------------------------------------------------------------------------------------------
-- Operator: the commands of people, whose changes have rows in the audit: `site init`, `site publish`,
-- `site-keys`, `enrolment-tokens`, `clients`, `policy`, `rings`, `rotations`, `incident`, `accounts`,
-- `break-glass`, `messages`, `keys`, `status`. What opens secrets (`secrets verify`, `incident print`, most
-- of `certificate`) needs the role mpe_recovery as well.

GRANT SELECT ON dbo.MPE_Migrations TO mpe_operator;
GRANT SELECT ON dbo.MPE_StoreCopy TO mpe_operator;
GRANT SELECT, INSERT ON dbo.MPE_Site TO mpe_operator;
GRANT SELECT, INSERT ON dbo.MPE_SiteDocuments TO mpe_operator;
GRANT SELECT, INSERT, DELETE ON dbo.MPE_SealingKeys TO mpe_operator;
GRANT SELECT, INSERT ON dbo.MPE_SealingKeyArchive TO mpe_operator;
GRANT INSERT ON dbo.MPE_FingerprintKeys TO mpe_operator;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_Policies TO mpe_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.MPE_PolicyRings TO mpe_operator;
GRANT SELECT, INSERT ON dbo.MPE_PolicyEvents TO mpe_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.MPE_Devices TO mpe_operator;
GRANT SELECT ON dbo.MPE_ManagementPoints TO mpe_operator;
GRANT SELECT, INSERT ON dbo.MPE_EnrolmentTokens TO mpe_operator;
GRANT UPDATE ON dbo.MPE_EnrolmentTokens (RevokedAt) TO mpe_operator;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_Clients TO mpe_operator;
GRANT SELECT, INSERT ON dbo.MPE_ClientKeys TO mpe_operator;
GRANT SELECT ON dbo.MPE_ClientFlags TO mpe_operator;
GRANT SELECT, DELETE ON dbo.MPE_PendingRegistrations TO mpe_operator;
GRANT SELECT, INSERT ON dbo.MPE_MachineEvents TO mpe_operator;
GRANT SELECT ON dbo.MPE_Keys TO mpe_operator;
GRANT SELECT ON dbo.MPE_KeySecrets (SecretId, Generation, Form) TO mpe_operator;
GRANT SELECT ON dbo.MPE_KeyProofs TO mpe_operator;
GRANT SELECT ON dbo.MPE_TpmOwnerAuths TO mpe_operator;
GRANT SELECT ON dbo.MPE_TpmOwnerAuthSecrets (SecretId, Generation, Form) TO mpe_operator;
GRANT SELECT ON dbo.MPE_TpmOwnerAuthProofs TO mpe_operator;
GRANT SELECT ON dbo.MPE_SecretDamage TO mpe_operator;
GRANT SELECT, INSERT ON dbo.MPE_Exposures TO mpe_operator;
GRANT SELECT, INSERT ON dbo.MPE_ExposureRanks TO mpe_operator;
GRANT SELECT ON dbo.MPE_Reports TO mpe_operator;
GRANT SELECT, INSERT ON dbo.MPE_Audit TO mpe_operator;
GRANT SELECT, UPDATE ON dbo.MPE_AuditHead TO mpe_operator;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_Incidents TO mpe_operator;
GRANT SELECT, INSERT ON dbo.MPE_IncidentMachines TO mpe_operator;
GRANT SELECT ON dbo.MPE_ClientStates TO mpe_operator;
GRANT SELECT ON dbo.MPE_HealthySecrets TO mpe_operator;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_RotationRequests TO mpe_operator;
GRANT SELECT ON dbo.MPE_RotationDeliveries TO mpe_operator;
GRANT SELECT ON dbo.MPE_RotationReports TO mpe_operator;
GRANT SELECT ON dbo.MPE_Outcomes TO mpe_operator;
GRANT SELECT ON dbo.MPE_Quarantine TO mpe_operator;
GRANT SELECT ON dbo.MPE_DeadLetters TO mpe_operator;
GRANT UPDATE ON dbo.MPE_DeadLetters (RedrivenAt) TO mpe_operator;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_Accounts TO mpe_operator;
GRANT SELECT, DELETE ON dbo.MPE_SignInFailures TO mpe_operator;
GRANT SELECT, DELETE ON dbo.MPE_Sessions TO mpe_operator;
GRANT SELECT, INSERT, UPDATE ON dbo.MPE_BreakGlass TO mpe_operator;
GRANT SELECT ON dbo.RecoveryAndHardwareCore_Machines TO mpe_operator;
GRANT SELECT ON dbo.RecoveryAndHardwareCore_Volumes TO mpe_operator;
GO

---------------------------------------------------------------------------------------------------
-- Migration: changes the schema, for `mpe migrate` of later releases. Who may change a table may
-- drop its triggers, so this is the role of a person or a deployment, never of a process that runs
-- on. A migration may move rows: it may read and write every table.

-- Babelfish has no db_ddladmin and grants no CREATE TABLE: there only an owner changes the schema.
IF DATABASE_PRINCIPAL_ID('db_ddladmin') IS NOT NULL ALTER ROLE db_ddladmin ADD MEMBER mpe_migration;
GRANT SELECT, INSERT, UPDATE, DELETE ON SCHEMA::dbo TO mpe_migration;
GO
