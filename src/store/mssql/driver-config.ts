import { readFileSync } from 'node:fs';
import type { config } from 'mssql';
import type { SqlServerLogin, SqlServerTarget } from '../../config/index.js';
import { MpeError } from '../../ops/errors.js';

/** How long the driver waits for the server to confirm a cancel before it drops the connection. */
export const CANCEL_TIMEOUT_MS = 5_000;

/** Idle connections are closed after this time. */
const IDLE_MS = 30_000;

type Authentication = NonNullable<config['authentication']>;

/** The driver's settings for a target: TLS, login, time-outs, the session every connection has. */
export function driverConfig(target: SqlServerTarget, poolMax: number): config {
  return {
    server: target.host,
    port: target.port,
    database: target.database,
    connectionTimeout: target.connectTimeoutMs,
    requestTimeout: target.requestTimeoutMs,
    authentication: authenticationOf(target.login),
    // Looks at the state and the socket without a round trip; what dies later fails as transient.
    validateConnection: 'socket',
    parseJSON: false,
    options: {
      appName: 'mpe',
      encrypt: target.encrypt,
      trustServerCertificate: target.trustServerCertificate,
      ...(target.serverName === null ? {} : { serverName: target.serverName }),
      ...(target.caFile === null ? {} : { cryptoCredentialsDetails: { ca: readCa(target.caFile) } }),
      multiSubnetFailover: target.multiSubnetFailover,
      // SET XACT_ABORT ON: any error of a statement rolls the whole transaction back.
      abortTransactionOnError: true,
      useUTC: true,
      enableArithAbort: true,
      cancelTimeout: CANCEL_TIMEOUT_MS,
      // The caller tries again, with its own patience.
      maxRetriesOnTransientErrors: 0,
    },
    pool: {
      min: 0,
      max: poolMax,
      idleTimeoutMillis: IDLE_MS,
      createTimeoutMillis: target.connectTimeoutMs + 1_000,
      acquireTimeoutMillis: target.connectTimeoutMs + target.requestTimeoutMs,
    },
  };
}

function readCa(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'an error';
    throw new MpeError('CONFIG_INVALID', `MPE_STORE_URL: ca names a file that cannot be read (${code})`);
  }
}

/** The login in the driver's words. What each kind needs has been checked with the URL. */
function authenticationOf(login: SqlServerLogin): Authentication {
  const user = login.user ?? '';
  const secret = login.secret ?? '';
  const tenantId = login.tenantId ?? '';
  const clientId = login.clientId ?? '';
  const identity = login.clientId === null ? {} : { clientId: login.clientId };
  switch (login.kind) {
    case 'sql':
      return { type: 'default', options: { userName: user, password: secret } };
    case 'entra-default':
      return { type: 'azure-active-directory-default', options: identity };
    case 'entra-password':
      return {
        type: 'azure-active-directory-password',
        options: { userName: user, password: secret, clientId, tenantId },
      };
    case 'entra-msi-vm':
      return { type: 'azure-active-directory-msi-vm', options: identity };
    case 'entra-msi-app-service':
      return { type: 'azure-active-directory-msi-app-service', options: identity };
    case 'entra-service-principal':
      return {
        type: 'azure-active-directory-service-principal-secret',
        options: { clientId, clientSecret: secret, tenantId },
      };
    case 'entra-access-token':
      return { type: 'azure-active-directory-access-token', options: { token: secret } };
  }
}
