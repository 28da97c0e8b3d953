import type { x509 as X509 } from '../../secrets/x509.js';
import { x509 } from '../../secrets/x509.js';
import { parseGuid, type Guid } from '../../protocol/guid.js';
import { CertificateRefused } from './refusal.js';

const GUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const URI = new RegExp(`^urn:mpe:client:(${GUID})$`, 'i');
const DNS = new RegExp(`^(${GUID})(?:\\..+)?$`, 'i');
const UPN = new RegExp(`^(${GUID})@.+$`, 'i');
const CN = new RegExp(`^(${GUID})$`, 'i');

/**
 * The client that a certificate names: a GUID in the subject's CN, in a SAN URI
 * `urn:mpe:client:<guid>`, as the first label of a SAN DNS name, or before the `@` of a SAN user
 * principal name (otherName). Names without a GUID say nothing; all that have one must agree.
 *
 * @throws CertificateRefused NO_CLIENT_ID | NAMES_DISAGREE
 */
export function clientIdOfCertificate(certificate: X509.X509Certificate): Guid {
  const ids = new Set<string>();
  const note = (pattern: RegExp, text: string): void => {
    const id = pattern.exec(text)?.[1];
    if (id !== undefined) ids.add(id.toLowerCase());
  };
  for (const name of certificate.subjectName.getField('CN')) note(CN, name);
  const alternative = certificate.getExtension(x509.SubjectAlternativeNameExtension);
  for (const name of alternative?.names.items ?? []) {
    if (name.type === 'url') note(URI, name.value);
    else if (name.type === 'dns') note(DNS, name.value);
    else if (name.type === 'upn') note(UPN, name.value);
  }
  const [id, another] = [...ids];
  if (id === undefined) {
    throw new CertificateRefused(
      'NO_CLIENT_ID',
      'the certificate names no client: neither CN=<client id> nor the SAN URI urn:mpe:client:<client id>',
    );
  }
  if (another !== undefined) {
    throw new CertificateRefused('NAMES_DISAGREE', 'subject and alternative names name different clients');
  }
  return parseGuid(id);
}
