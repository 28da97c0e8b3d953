import { readFileSync } from 'node:fs';
import type { ClientOptions } from '../client/index.js';
import type { Config } from '../config/index.js';
import { clientIdOfCertificate } from '../ingest/certificates/client-id.js';
import { CertificateRefused } from '../ingest/certificates/refusal.js';
import { MpeError } from '../ops/errors.js';
import { parseGuid, type Guid } from '../protocol/guid.js';
import { x509 } from '../secrets/x509.js';

/**
 * The certificate or device token that `MPE_CLIENT_CERTIFICATE` or `MPE_CLIENT_DEVICE_TOKEN` name.
 *
 * @throws MpeError USAGE where a file cannot be read.
 */
export function channelOptions(config: Config): Pick<ClientOptions, 'certificate' | 'deviceToken'> {
  const { certificate, certificateKey, deviceToken } = config.clientChannel;
  return {
    ...(certificate === null || certificateKey === null
      ? {}
      : { certificate: { cert: read(certificate), key: read(certificateKey) } }),
    ...(deviceToken === null ? {} : { deviceToken: () => read(deviceToken) }),
  };
}

/**
 * The client id that they name, for an enrolment; nothing where neither is set.
 *
 * @throws MpeError USAGE where they name none.
 */
export function channelClientId(config: Config): { readonly clientId?: Guid } {
  const { certificate, deviceToken } = config.clientChannel;
  try {
    if (certificate !== null) {
      return { clientId: clientIdOfCertificate(new x509.X509Certificate(read(certificate))) };
    }
    if (deviceToken === null) return {};
    const payload = Buffer.from(read(deviceToken).split('.')[1] ?? '', 'base64url').toString();
    const { deviceid } = JSON.parse(payload) as { readonly deviceid?: unknown };
    return { clientId: parseGuid(typeof deviceid === 'string' ? deviceid : '') };
  } catch (cause) {
    if (cause instanceof MpeError && cause.code === 'USAGE') throw cause;
    const why = cause instanceof CertificateRefused ? `: ${cause.message}` : '';
    throw new MpeError('USAGE', `the certificate or device token names no client id${why}`, { cause });
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new MpeError('USAGE', `${path} cannot be read`, { cause });
  }
}
