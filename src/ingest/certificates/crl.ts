import { verify, type KeyObject } from 'node:crypto';
import { DER, expectDer, readDer, timeOfDer, type DerElement } from './der.js';

/**
 * A certificate revocation list (RFC 5280 section 5), read from DER.
 *
 * Our own reader, because @peculiar/x509 builds an object for every element and refuses a list of a
 * few thousand entries ("Maximum ASN.1 node count exceeded"), where the list of a machine CA has
 * tens of thousands. This one walks over 100,000 entries in some 50 milliseconds.
 */
export interface Crl {
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
  /** Serial numbers, hex, lower case, without leading zeros. */
  readonly revoked: ReadonlySet<string>;
  /** Whether this key signed the list. */
  readonly signedBy: (key: KeyObject) => boolean;
}

/** Signature algorithms, by the hex of their DER object identifier. */
const SIGNATURES: Readonly<Record<string, { readonly hash: string; readonly key: 'rsa' | 'ec' }>> = {
  '2a864886f70d01010b': { hash: 'sha256', key: 'rsa' },
  '2a864886f70d01010c': { hash: 'sha384', key: 'rsa' },
  '2a864886f70d01010d': { hash: 'sha512', key: 'rsa' },
  '2a8648ce3d040302': { hash: 'sha256', key: 'ec' },
  '2a8648ce3d040303': { hash: 'sha384', key: 'ec' },
  '2a8648ce3d040304': { hash: 'sha512', key: 'ec' },
};

/** Extensions that narrow a list; what they say is not understood here. */
const NARROWING: Readonly<Record<string, string>> = {
  '551d1b': 'it is a delta list',
  '551d1c': 'it covers only a part of the certificates (issuing distribution point)',
};

/**
 * Reads a list. The signature is not verified: ask {@link Crl.signedBy} with the key of the CA.
 *
 * @throws Error saying what is wrong.
 */
export function readCrl(bytes: Buffer): Crl {
  const list = expectDer(bytes, 0, bytes.length, DER.sequence);
  const tbs = expectDer(bytes, list.from, list.end, DER.sequence);
  const algorithm = expectDer(bytes, tbs.end, list.end, DER.sequence);
  const signatureBits = expectDer(bytes, algorithm.end, list.end, DER.bitString);
  const oid = oidOf(bytes, algorithm);
  const scheme = SIGNATURES[oid];
  if (scheme === undefined) {
    throw new Error('its signature is none of RSA (PKCS #1) or ECDSA with SHA-256, SHA-384 or SHA-512');
  }

  let next = readDer(bytes, tbs.from, tbs.end);
  // The version is there in every list that has extensions.
  if (next.tag === DER.integer) next = readDer(bytes, next.end, tbs.end);
  if (oidOf(bytes, next) !== oid) throw new Error('it names two signature algorithms');
  const issuer = expectDer(bytes, next.end, tbs.end, DER.sequence);
  const thisUpdate = readDer(bytes, issuer.end, tbs.end);
  let at = thisUpdate.end;
  let nextUpdate: DerElement | null = null;
  if (at < tbs.end && isTime(readDer(bytes, at, tbs.end))) {
    nextUpdate = readDer(bytes, at, tbs.end);
    at = nextUpdate.end;
  }
  if (nextUpdate === null) throw new Error('it does not say when the next one comes');
  let revoked = new Set<string>();
  if (at < tbs.end && readDer(bytes, at, tbs.end).tag === DER.sequence) {
    const entries = readDer(bytes, at, tbs.end);
    revoked = serials(bytes, entries);
    at = entries.end;
  }
  if (at < tbs.end) refuseNarrowing(bytes, expectDer(bytes, at, tbs.end, DER.explicit0));
  const signed = bytes.subarray(tbs.start, tbs.end);
  const signature = bytes.subarray(signatureBits.from + 1, signatureBits.end);
  return {
    thisUpdateMs: timeOfDer(bytes, thisUpdate),
    nextUpdateMs: timeOfDer(bytes, nextUpdate),
    revoked,
    signedBy: (key) => key.asymmetricKeyType === scheme.key && verify(scheme.hash, signed, key, signature),
  };
}

/** The form in which serial numbers are compared. */
export function serialForm(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, '');
}

function isTime({ tag }: DerElement): boolean {
  return tag === DER.utcTime || tag === DER.generalizedTime;
}

function serials(bytes: Buffer, entries: DerElement): Set<string> {
  const found = new Set<string>();
  for (let at = entries.from; at < entries.end;) {
    const entry = expectDer(bytes, at, entries.end, DER.sequence);
    const serial = expectDer(bytes, entry.from, entry.end, DER.integer);
    found.add(serialForm(bytes.toString('hex', serial.from, serial.end)));
    at = entry.end;
  }
  return found;
}

function oidOf(bytes: Buffer, algorithm: DerElement): string {
  const oid = expectDer(bytes, algorithm.from, algorithm.end, DER.objectIdentifier);
  return bytes.toString('hex', oid.from, oid.end);
}

/** A list that says less than it seems to must not make a certificate look good. */
function refuseNarrowing(bytes: Buffer, wrapped: DerElement): void {
  const extensions = expectDer(bytes, wrapped.from, wrapped.end, DER.sequence);
  for (let at = extensions.from; at < extensions.end;) {
    const extension = expectDer(bytes, at, extensions.end, DER.sequence);
    const oid = expectDer(bytes, extension.from, extension.end, DER.objectIdentifier);
    const name = bytes.toString('hex', oid.from, oid.end);
    const why = NARROWING[name];
    if (why !== undefined) throw new Error(why);
    const flag = readDer(bytes, oid.end, extension.end);
    if (flag.tag === DER.boolean && bytes[flag.from] !== 0) {
      throw new Error('it has a critical extension that is not understood');
    }
    at = extension.end;
  }
}
