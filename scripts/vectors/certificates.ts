import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { CertificateProof } from '../../src/jose/index.js';
import type { PublicJwk } from '../../src/protocol/jwk.js';
import { certificateStatement } from './payloads.js';

/** A certificate's key with what is random: itself, and (for EC) its signature. */
export interface StoredCertificate {
  readonly name: string;
  /** PKCS #8, PEM. */
  readonly privateKey: string;
  /** Hex. */
  readonly signature: string;
}

const PREFIX = Buffer.from('mpe-reg-certificate\0', 'ascii');

const spkiOf = (privateKey: string): Buffer =>
  createPublicKey(privateKey).export({ type: 'spki', format: 'der' });

/** Made without the program's own signing, so that the two are held against each other. */
function signed(privateKey: string, clientKey: PublicJwk): { statement: Buffer; text: Buffer } {
  const statement = certificateStatement(clientKey, spkiOf(privateKey));
  return { statement, text: Buffer.concat([PREFIX, statement]) };
}

/** New keys, each with its signature. */
export function makeCertificates(clientKey: PublicJwk): StoredCertificate[] {
  const made = [
    ['RSA 2048', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey],
    ['EC P-256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey],
  ] as const;
  return made.map(([name, key]) => {
    const privateKey = key.export({ type: 'pkcs8', format: 'pem' }).toString();
    const { text } = signed(privateKey, clientKey);
    const signature = sign('sha256', text, { key: createPrivateKey(privateKey), dsaEncoding: 'ieee-p1363' });
    return { name, privateKey, signature: signature.toString('hex') };
  });
}

/** The proof that the example of a registration request carries. */
export function proofOf(certificates: readonly StoredCertificate[]): CertificateProof {
  const first = certificates[0];
  if (first === undefined) throw new Error('no certificate');
  return { key: spkiOf(first.privateKey), signature: Buffer.from(first.signature, 'hex') };
}

/** What a client with a certificate signs to register, step by step. */
export function certificateVectors(
  certificates: readonly StoredCertificate[],
  clientKey: PublicJwk,
): readonly object[] {
  return certificates.map(({ name, privateKey, signature }) => {
    const key = spkiOf(privateKey);
    const { statement, text } = signed(privateKey, clientKey);
    return {
      name,
      privateKey,
      certificateKey: key.toString('hex'),
      certificateKeySha256: createHash('sha256').update(key).digest('hex'),
      statement: statement.toString('hex'),
      signedText: text.toString('hex'),
      signature,
    };
  });
}
