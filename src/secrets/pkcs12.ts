import forge from 'node-forge';
import { MpeError } from '../ops/errors.js';
import { readPemPairs } from './certificate-pem.js';
import type { CertificatePems } from './certificate.js';

/**
 * Reads a PKCS #12 file (.p12, .pfx) as Windows, OpenSSL and others write them: old and new encryption,
 * checksums of any SHA.
 *
 * @returns a certificate with its key each
 * @throws MpeError VALUE_INVALID where it is no such file, the password is wrong, or it holds no RSA key
 */
export function readPkcs12(bytes: Buffer, password: string): readonly CertificatePems[] {
  let text: string;
  try {
    const { pki, asn1, pkcs12, util } = forge;
    const pfx = withUtf8InPbes2(() =>
      // The older schemes take the password's UTF-16 units, which is forge's own work.
      pkcs12.pkcs12FromAsn1(asn1.fromDer(util.createBuffer(bytes.toString('binary'))), true, password),
    );
    const bags = (bagType: string) => pfx.getBags({ bagType })[bagType] ?? [];
    const { certBag, keyBag, pkcs8ShroudedKeyBag } = pki.oids;
    text = [
      ...bags(certBag).flatMap(({ cert }) => (cert ? [pki.certificateToPem(cert)] : [])),
      ...[...bags(keyBag), ...bags(pkcs8ShroudedKeyBag)].flatMap(({ key }) =>
        key ? [pki.privateKeyToPem(key)] : [],
      ),
    ].join('');
  } catch (cause) {
    throw new MpeError('VALUE_INVALID', 'the password is wrong or this is no PKCS #12 file', { cause });
  }
  return readPemPairs(text, null);
}

/** PBES2 takes the password as UTF-8 (RFC 9579, section 3); forge gives it the low bytes of its characters. */
function withUtf8InPbes2<T>(work: () => T): T {
  const { pbe } = forge.pki;
  const original = pbe.getCipherForPBES2;
  pbe.getCipherForPBES2 = (oid, params, password) =>
    original(oid, params, Buffer.from(password, 'utf8').toString('binary'));
  try {
    return work();
  } finally {
    pbe.getCipherForPBES2 = original;
  }
}
