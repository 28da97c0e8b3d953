#!/bin/bash
# Runs create-logins.sql as sa inside compose: the passwords come from secret files and reach sqlcmd as
# variables of its environment, so that none stands in a command line.
set -euo pipefail

secret() { cat "/run/secrets/$1"; }
sqlcmd=$(ls -d /opt/mssql-tools*/bin/sqlcmd | tail -n 1)

export SQLCMDPASSWORD MigratePassword GatewayPassword WorkerPassword RecoveryPassword AdminPassword
SQLCMDPASSWORD=$(secret sqlserver_sa_password)
MigratePassword=$(secret sqlserver_migrate_password)
GatewayPassword=$(secret sqlserver_gateway_password)
WorkerPassword=$(secret sqlserver_worker_password)
RecoveryPassword=$(secret sqlserver_recovery_password)
AdminPassword=$(secret sqlserver_admin_password)

# -C: the certificate names the host, but sa comes from inside the internal network alone.
exec "$sqlcmd" -C -b -S sqlserver -U sa -i /deploy/create-logins.sql
