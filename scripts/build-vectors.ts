/**
 * Builds docs/vectors. Everything that is deterministic is made anew; keys and random tokens
 * (RSA, ECDH, ES256) are kept where they exist, for a token that changes is no vector.
 *
 *     npx tsx scripts/build-vectors.ts
 */
import { createCipheriv, createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generatePrivateKey, publicPart, seal, sign, thumbprint } from '../src/jose/index.js';
import { formatEnrolmentToken } from '../src/protocol/enrolment-token.js';
import { guidToBytes, NIL_GUID } from '../src/protocol/guid.js';
import type { PrivateJwk, PublicJwk } from '../src/protocol/jwk.js';
import { encodeReplyStatement } from '../src/protocol/reply-statement.js';
import { associatedData } from '../src/secrets/associated-data.js';
import { SECRET_KINDS, secretKindNumber } from '../src/secrets/types.js';
import {
  certificateVectors,
  makeCertificates,
  proofOf,
  type StoredCertificate,
} from './vectors/certificates.js';
import { hostileVectors } from './vectors/hostile.js';
import * as use from './vectors/inputs.js';
import { exampleMessage, exampleReply, payloadVectors } from './vectors/payloads.js';
import { jweSteps, jwsSteps } from './vectors/tokens.js';

const FOLDER = fileURLToPath(new URL('../docs/vectors/', import.meta.url));

/** What is random and therefore stored. */
export interface StoredParts {
  readonly keys: Readonly<Record<'root' | 'client' | 'sealingRsa' | 'sealingEc', PrivateJwk>>;
  readonly signatures: Readonly<Record<string, { readonly kid: string; readonly token: string }>>;
  readonly envelopes: Readonly<Record<string, { readonly kid: string; readonly token: string }>>;
  readonly certificates: readonly StoredCertificate[];
}

/** The stored parts of the vectors that lie in the folder; null where there are none. */
export function readStored(): StoredParts | null {
  const read = (name: string): unknown => JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));
  if (!existsSync(join(FOLDER, 'keys.json'))) return null;
  return {
    keys: read('keys.json') as StoredParts['keys'],
    signatures: read('signatures.json') as StoredParts['signatures'],
    envelopes: read('envelopes.json') as StoredParts['envelopes'],
    certificates: read('certificate-proofs.json') as StoredParts['certificates'],
  };
}

async function makeStored(): Promise<StoredParts> {
  const keys = {
    root: await generatePrivateKey('ES256'),
    client: await generatePrivateKey('ES256'),
    sealingRsa: await generatePrivateKey('RSA-OAEP-256', 3072),
    sealingEc: await generatePrivateKey('ECDH-ES+A256KW'),
  };
  const certificates = makeCertificates(publicPart(keys.client));
  const payloads = payloadVectors(publicPart(keys.client), proofOf(certificates));
  const bytesOf = (name: string): Buffer =>
    Buffer.from(payloads.find((one) => one.name === name)?.bytes ?? '', 'hex');
  const message = await sign(exampleMessage(), keys.client, 'mpe-msg+jws');
  const signed = async (name: string, typ: 'mpe-reg+jws' | 'mpe-token+jws') => ({
    kid: keys.client.kid,
    token: await sign(bytesOf(name), keys.client, typ),
  });
  return {
    keys,
    signatures: {
      message: { kid: keys.client.kid, token: message },
      registration: await signed('registration statement', 'mpe-reg+jws'),
      tokenProof: await signed('token statement', 'mpe-token+jws'),
    },
    envelopes: {
      rsa: await sealed(message, keys.sealingRsa),
      ecdh: await sealed(message, keys.sealingEc),
    },
    certificates,
  };
}

async function sealed(message: string, key: PrivateJwk): Promise<{ kid: string; token: string }> {
  const token = await seal(Buffer.from(message, 'ascii'), publicPart(key), 'mpe-env');
  return { kid: key.kid, token };
}

/** Every file of docs/vectors by name, from the stored parts. */
export function buildVectors(stored: StoredParts): Record<string, unknown> {
  const { keys, signatures, envelopes, certificates } = stored;
  const reply = replyVector();
  const keyOf = (kid: string): PrivateJwk => {
    const key = Object.values(keys).find((one) => one.kid === kid);
    if (key === undefined) throw new Error(`no key ${kid}`);
    return key;
  };
  return {
    'keys.json': keys,
    'guids.json': [use.MESSAGE, use.CLIENT, use.KEY, '00112233-4455-6677-8899-aabbccddeeff'].map(guidVector),
    'payloads.json': payloadVectors(publicPart(keys.client), proofOf(certificates)),
    'certificate-proofs.json': certificateVectors(certificates, publicPart(keys.client)),
    'thumbprints.json': [
      rfc7638(),
      ...Object.entries(keys).map(([name, key]) => thumbprintVector(name, publicPart(key))),
    ],
    'replies.json': [reply],
    'associated-data.json': SECRET_KINDS.map(associatedVector),
    'enrolment.json': enrolmentVector(keys.root.kid),
    'signatures.json': Object.fromEntries(
      Object.entries(signatures).map(([name, { kid, token }]) => [name, { kid, ...jwsSteps(token) }]),
    ),
    'envelopes.json': Object.fromEntries(
      Object.entries(envelopes).map(([name, { kid, token }]) => [
        name,
        { kid, ...jweSteps(token, keyOf(kid)) },
      ]),
    ),
    'hostile.json': hostileVectors({
      envelope: envelopes['rsa']?.token ?? '',
      message: signatures['message']?.token ?? '',
      reply: reply.token,
    }),
  };
}

function guidVector(text: string): object {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  const mixed = Buffer.from(bytes);
  mixed.subarray(0, 4).reverse();
  mixed.subarray(4, 6).reverse();
  mixed.subarray(6, 8).reverse();
  return {
    text,
    wire: bytes.toString('hex'),
    // Guid.ToByteArray() without bigEndian, a Windows GUID in memory: NOT what goes on the wire.
    wrongMixedEndian: mixed.toString('hex'),
  };
}

function thumbprintVector(name: string, jwk: PublicJwk): object {
  const { kty, n = '', e = '', x = '', y = '' } = jwk;
  const json =
    kty === 'RSA'
      ? `{"e":"${e}","kty":"RSA","n":"${n}"}`
      : `{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`;
  return { name, json, sha256: createHash('sha256').update(json).digest('hex'), thumbprint: thumbprint(jwk) };
}

/** The published example of RFC 7638 section 3.1. */
function rfc7638(): object {
  const n =
    '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw';
  return thumbprintVector('RFC 7638 section 3.1', { kty: 'RSA', kid: '', alg: 'RSA-OAEP-256', n, e: 'AQAB' });
}

/** Made by node:crypto with a fixed IV; real ones are random. */
function replyVector() {
  const statement = encodeReplyStatement(exampleReply());
  const header = JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid: use.MESSAGE, typ: 'mpe-reply' });
  const first = Buffer.from(header).toString('base64url');
  const cipher = createCipheriv('aes-256-gcm', use.REPLY_KEY, use.IV).setAAD(Buffer.from(first, 'ascii'));
  const ciphertext = Buffer.concat([cipher.update(statement), cipher.final()]);
  const tag = cipher.getAuthTag();
  const b64 = (bytes: Buffer): string => bytes.toString('base64url');
  return {
    name: 'the reply to the first message of payloads.json',
    replyKey: use.REPLY_KEY.toString('hex'),
    messageId: use.MESSAGE,
    payloadDigest: createHash('sha256').update(exampleMessage()).digest('hex'),
    statement: statement.toString('hex'),
    header,
    additionalData: first,
    iv: use.IV.toString('hex'),
    ciphertext: ciphertext.toString('hex'),
    tag: tag.toString('hex'),
    token: [first, '', b64(use.IV), b64(ciphertext), b64(tag)].join('.'),
  };
}

function associatedVector(kind: (typeof SECRET_KINDS)[number]): object {
  const tpm = kind === 'TPM_OWNER_AUTH';
  const place = {
    siteGuid: use.SITE,
    kind,
    keyId: tpm ? use.CLIENT : use.KEY,
    volumeId: tpm ? NIL_GUID : use.VOLUME,
    dataKeyId: use.DATA_KEY,
  };
  return { ...place, kindNumber: secretKindNumber(kind), bytes: associatedData(place).toString('hex') };
}

function enrolmentVector(rootThumbprint: string): object {
  return {
    token: formatEnrolmentToken({ siteGuid: use.SITE, rootThumbprint, secret: use.SECRET }),
    siteGuid: use.SITE,
    siteGuidBytes: guidToBytes(use.SITE).toString('hex'),
    rootThumbprint,
    secret: use.SECRET.toString('hex'),
    enrolmentTokenField: use.SECRET.toString('base64url'),
    enrolmentTokenSha256: createHash('sha256').update(use.SECRET).digest('hex'),
  };
}

/** A file's text. */
export function vectorText(content: unknown): string {
  return `${JSON.stringify(content, null, 2)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(FOLDER, { recursive: true });
  const files = buildVectors(readStored() ?? (await makeStored()));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(FOLDER, name), vectorText(content));
}
