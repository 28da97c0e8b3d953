/** How mpe logs in to SQL Server. */
export const SQLSERVER_LOGINS = [
  'sql',
  'entra-default',
  'entra-password',
  'entra-msi-vm',
  'entra-msi-app-service',
  'entra-service-principal',
  'entra-access-token',
] as const;
export type SqlServerLoginKind = (typeof SQLSERVER_LOGINS)[number];

/** A login; `secret` is its password, client secret or access token. */
export interface SqlServerLogin {
  readonly kind: SqlServerLoginKind;
  readonly user: string | null;
  readonly clientId: string | null;
  readonly tenantId: string | null;
  readonly secret: string | null;
}

/** A SQL Server database, as an `mssql://` URL names it. */
export interface SqlServerTarget {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly login: SqlServerLogin;
  /** TLS; off only towards a test server on the same host. */
  readonly encrypt: boolean;
  readonly trustServerCertificate: boolean;
  /** The name that the server's certificate carries, where it is not `host`. */
  readonly serverName: string | null;
  /** PEM file with the CAs that may have signed the server's certificate. */
  readonly caFile: string | null;
  readonly multiSubnetFailover: boolean;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
}
