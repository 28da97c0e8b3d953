import { generateKeyPairSync } from 'node:crypto';
import { exportKey, pemOf, signingPair, x509 } from '../../src/secrets/x509.js';

/** A CA and a server certificate for localhost, both of which ended in the year 2006. PEM. */
export async function expiredTls(): Promise<{ key: string; cert: string; ca: string }> {
  const dates = { notBefore: new Date('1996-01-01T00:00:00Z'), notAfter: new Date('2006-01-01T00:00:00Z') };
  const caKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const signer = await signingPair(caKey);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=old CA',
    ...dates,
    keys: signer.pair,
    signingAlgorithm: signer.algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const leaf = await x509.X509CertificateGenerator.create({
    subject: 'CN=old gateway',
    issuer: 'CN=old CA',
    ...dates,
    publicKey: (await signingPair(leafKey)).pair.publicKey,
    signingKey: signer.pair.privateKey,
    signingAlgorithm: signer.algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }]),
    ],
  });
  return { key: exportKey(leafKey), cert: pemOf(leaf) + pemOf(ca), ca: pemOf(ca) };
}
