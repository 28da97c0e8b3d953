import { createHash } from 'node:crypto';
import type { Body, ClientMessage, ReplyStatement } from '../../src/protocol/client-message.js';
import { encodeClientMessage } from '../../src/protocol/encode-client-message.js';
import { encodeEnvelope } from '../../src/protocol/envelope.js';
import { mpe } from '../../src/protocol/generated/mpe.js';
import type { CertificateProof } from '../../src/jose/index.js';
import { guidToBytes } from '../../src/protocol/guid.js';
import type { PublicJwk } from '../../src/protocol/jwk.js';
import { encodeMessageReply } from '../../src/protocol/message-reply.js';
import { encodeProblem } from '../../src/protocol/problem.js';
import {
  encodeRegistrationReply,
  encodeRegistrationRequest,
  encodeRegistrationStatement,
} from '../../src/protocol/registration.js';
import { encodeReplyStatement } from '../../src/protocol/reply-statement.js';
import {
  encodeNonceReply,
  encodeTokenReply,
  encodeTokenRequest,
  encodeTokenStatement,
} from '../../src/protocol/site-token.js';
import * as use from './inputs.js';

/** One encoded message. */
export interface PayloadVector {
  readonly name: string;
  /** Of package mpe.v1. */
  readonly message: string;
  /** By the names of the .proto files: bytes as hex, 64-bit integers as text, enums by name. */
  readonly fields: unknown;
  readonly bytes: string;
  readonly sha256: string;
}

const GUID = (guid: typeof use.SITE): Buffer => guidToBytes(guid);

const bodies: readonly (readonly [string, Body])[] = [
  [
    'escrow: two protectors of a volume, one with password and package, one only listed',
    {
      type: 'ESCROW_RECOVERY_KEYS',
      volumes: [
        {
          volumeId: GUID(use.VOLUME),
          volumeType: 'OS',
          driveLabel: 'C:',
          protection: 'ON',
          protectors: [
            { keyId: GUID(use.KEY), recoveryPassword: use.PASSWORD, keyPackage: use.counting(24) },
            { keyId: GUID(use.OLD_KEY) },
          ],
        },
      ],
    },
  ],
  ['TPM owner authorization: 20 bytes', { type: 'ESCROW_TPM_OWNER_AUTH', ownerAuth: use.counting(20) }],
  ['TPM owner authorization: not kept by this Windows version', { type: 'ESCROW_TPM_OWNER_AUTH' }],
  [
    'rotation result: added',
    { type: 'ROTATION_RESULT', requestId: GUID(use.REQUEST), outcome: 'ADDED', newKeyId: GUID(use.KEY) },
  ],
  [
    'rotation result: failed, negative HRESULT',
    {
      type: 'ROTATION_RESULT',
      requestId: GUID(use.REQUEST),
      outcome: 'FAILED',
      errorCode: -2144272384n,
      errorText: 'FVE_E_LOCKED_VOLUME',
    },
  ],
  [
    'check-in',
    {
      type: 'CHECK_IN',
      machineName: 'GERÄT-ß-电脑',
      domain: 'CORP',
      users: [{ domain: 'CORP', name: 'amália' }],
      otherManagers: ['MBAM', 'INTUNE'],
      lastError: { code: -2147024809n, text: 'E_INVALIDARG', atMs: use.CREATED_MS },
      volumes: [
        {
          volumeId: GUID(use.VOLUME),
          volumeType: 'OS',
          driveLabel: 'C:',
          protection: 'ON',
          keyIds: [GUID(use.KEY), GUID(use.OLD_KEY)],
        },
      ],
    },
  ],
];

/** A ClientMessage around a body. */
export function clientMessage(body: Body, sequence = 1n): ClientMessage {
  return {
    siteGuid: use.SITE,
    messageId: use.MESSAGE,
    clientId: use.CLIENT,
    bodyType: body.type,
    replyKey: use.REPLY_KEY,
    sequence,
    createdAtMs: use.CREATED_MS,
    clientVersion: 'example/1.0',
    body,
  };
}

/** The message that the other vectors use: the first of the list. */
export function exampleMessage(): Buffer {
  const first = bodies[0];
  if (first === undefined) throw new Error('no example');
  return encodeClientMessage(clientMessage(first[1]));
}

/** The reply to it. */
export function exampleReply(): ReplyStatement {
  return {
    siteGuid: use.SITE,
    clientId: use.CLIENT,
    messageId: use.MESSAGE,
    payloadDigest: createHash('sha256').update(exampleMessage()).digest(),
    disposition: 'PARTIAL',
    reason: 'ITEMS_REJECTED',
    retry: 'NEW_MESSAGE',
    volumes: [
      {
        volumeId: GUID(use.VOLUME),
        status: 'COMMITTED',
        reason: 'NONE',
        keys: [
          {
            keyId: GUID(use.KEY),
            status: 'COMMITTED',
            reason: 'NONE',
            badGroup: 0,
            keyPackage: { status: 'REJECTED', reason: 'POLICY_REFUSED' },
          },
          { keyId: GUID(use.OLD_KEY), status: 'SECRET_REQUIRED', reason: 'NONE', badGroup: 0 },
        ],
      },
    ],
    committedAtMs: use.SERVER_MS,
    serverTimeMs: use.SERVER_MS,
    // Above 2^53: a language of doubles shows its fault here.
    highestSequence: 9_007_199_254_740_993n,
    siteDocumentVersion: 3,
    commands: [
      {
        type: 'ROTATE_KEY',
        requestId: use.REQUEST,
        volumeId: use.VOLUME,
        keyId: use.OLD_KEY,
        deadlineMs: use.SERVER_MS + 86_400_000,
      },
      { type: 'ESCROW', volumeId: use.VOLUME, keyIds: [use.OLD_KEY] },
    ],
    registerAnew: false,
    epoch: 1,
  };
}

/** The reply to a TPM owner authorization, by a site that saw a clone. */
function cloneReply(): ReplyStatement {
  return {
    ...exampleReply(),
    ...{ disposition: 'COMMITTED', reason: 'NONE', retry: 'NONE', volumes: [], commands: [] },
    tpmOwnerAuth: { status: 'COMMITTED', reason: 'NONE' },
    registerAnew: true,
  };
}

/** The reply to a check-in: nothing to do, and the policy. */
function policyReply(): ReplyStatement {
  return {
    ...exampleReply(),
    ...{ disposition: 'COMMITTED', reason: 'NONE', retry: 'NONE', volumes: [], commands: [] },
    policy: {
      ...{ mode: 'MANAGE', checkIntervalMinutes: 90, recoveryPasswords: true, keyPackages: true },
      ...{ removableDrives: true, tpmOwnerAuth: true },
    },
  };
}

/** A reply in which everything is refused. */
function refusedReply(): ReplyStatement {
  return {
    ...exampleReply(),
    ...{ reason: 'ALL_ITEMS_REJECTED', disposition: 'REJECTED', commands: [] },
    volumes: [
      {
        ...{ volumeId: GUID(use.VOLUME), status: 'COMMITTED', reason: 'NONE' },
        keys: [
          {
            ...{ keyId: GUID(use.KEY), status: 'REJECTED', reason: 'RECOVERY_PASSWORD_INVALID' },
            badGroup: 8,
          },
        ],
      },
      {
        ...{ volumeId: GUID(use.OTHER_VOLUME), status: 'REJECTED', reason: 'VOLUME_TYPE_UNKNOWN', keys: [] },
      },
    ],
  };
}

/** The statement of a client with a certificate: it names the certificate's key, and needs no token. */
export function certificateStatement(clientKey: PublicJwk, certificateKey: Uint8Array): Buffer {
  return encodeRegistrationStatement({
    siteGuid: use.SITE,
    registrationId: use.REGISTRATION,
    clientId: use.CLIENT,
    publicKeyX: Buffer.from(clientKey.x ?? '', 'base64url'),
    publicKeyY: Buffer.from(clientKey.y ?? '', 'base64url'),
    createdAtMs: use.CREATED_MS,
    enrolmentTokenSha256: new Uint8Array(),
    certificateKeySha256: createHash('sha256').update(certificateKey).digest(),
  });
}

/** All payload vectors. */
export function payloadVectors(clientKey: PublicJwk, proof: CertificateProof): PayloadVector[] {
  const tokenStatement = { siteGuid: use.SITE, clientId: use.CLIENT, nonce: use.NONCE };
  return [
    ...bodies.map(([name, body], index) =>
      vector(name, 'ClientMessage', encodeClientMessage(clientMessage(body, BigInt(index + 1)))),
    ),
    vector(
      'escrow at sequence 2^63-1',
      'ClientMessage',
      encodeClientMessage(clientMessage({ type: 'ESCROW_TPM_OWNER_AUTH' }, 2n ** 63n - 1n)),
    ),
    vector(
      'registration statement',
      'RegistrationStatement',
      encodeRegistrationStatement({
        siteGuid: use.SITE,
        registrationId: use.REGISTRATION,
        clientId: use.CLIENT,
        publicKeyX: Buffer.from(clientKey.x ?? '', 'base64url'),
        publicKeyY: Buffer.from(clientKey.y ?? '', 'base64url'),
        createdAtMs: use.CREATED_MS,
        enrolmentTokenSha256: createHash('sha256').update(use.SECRET).digest(),
      }),
    ),
    vector(
      'registration reply',
      'RegistrationReply',
      encodeRegistrationReply({
        ...{ clientId: use.CLIENT, status: 'REGISTERED', reason: 'NONE', epoch: 1 },
        ...{ kid: clientKey.kid, retry: 'NONE' },
      }),
    ),
    vector('nonce reply', 'NonceReply', encodeNonceReply({ nonce: use.NONCE, lifetimeSeconds: 60 })),
    vector('token statement', 'TokenStatement', encodeTokenStatement(tokenStatement)),
    vector(
      'envelope (the token is cut: see envelopes.json)',
      'Envelope',
      encodeEnvelope({
        ...{ messageId: use.MESSAGE, clientId: use.CLIENT, bodyType: 'ESCROW_RECOVERY_KEYS' },
        ...{ sentAtMs: use.CREATED_MS, sealed: 'eyJ…', tracestate: '' },
        traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      }),
    ),
    vector(
      'message reply: queued',
      'MessageReply',
      encodeMessageReply({
        ...{ messageId: use.MESSAGE, disposition: 'QUEUED', reason: 'NONE', sealedReply: '' },
        ...{ retry: 'SAME_MESSAGE_LATER', retryAfterSeconds: 5 },
      }),
    ),
    vector('reply statement: partial, with commands', 'ReplyStatement', encodeReplyStatement(exampleReply())),
    vector(
      'reply statement: committed, and register anew',
      'ReplyStatement',
      encodeReplyStatement(cloneReply()),
    ),
    vector('reply statement: policy', 'ReplyStatement', encodeReplyStatement(policyReply())),
    vector('reply statement: refused', 'ReplyStatement', encodeReplyStatement(refusedReply())),
    vector(
      'message reply: committed (the token is cut: see replies.json)',
      'MessageReply',
      encodeMessageReply({
        ...{ messageId: use.MESSAGE, disposition: 'PARTIAL', reason: 'ITEMS_REJECTED' },
        ...{ retry: 'NEW_MESSAGE', retryAfterSeconds: 0, sealedReply: 'eyJ…' },
      }),
    ),
    vector(
      'message reply: already committed (the token is cut: see replies.json)',
      'MessageReply',
      encodeMessageReply({
        ...{ messageId: use.MESSAGE, disposition: 'ALREADY_COMMITTED', reason: 'NONE' },
        ...{ retry: 'NONE', retryAfterSeconds: 0, sealedReply: 'eyJ…' },
      }),
    ),
    vector(
      'envelope with trace state (the token is cut: see envelopes.json)',
      'Envelope',
      encodeEnvelope({
        ...{ messageId: use.MESSAGE, clientId: use.CLIENT, bodyType: 'CHECK_IN' },
        ...{ sentAtMs: use.CREATED_MS, sealed: 'eyJ…', tracestate: 'example=1' },
        traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      }),
    ),
    vector(
      'registration statement with a certificate (see certificate-proofs.json)',
      'RegistrationStatement',
      certificateStatement(clientKey, proof.key),
    ),
    vector(
      'registration request with an enrolment token (the token is cut: see signatures.json)',
      'RegistrationRequest',
      encodeRegistrationRequest({
        ...{ jws: 'eyJ…', enrolmentToken: use.SECRET.toString('base64url') },
        ...{ machineName: 'GERÄT-ß-电脑', domain: 'CORP', hardwareId: 'example', joinType: 'HYBRID' },
      }),
    ),
    vector(
      'registration request: a new key, signed by the old one (the tokens are cut)',
      'RegistrationRequest',
      encodeRegistrationRequest({
        ...{ jws: 'eyJ…', previousKeyJws: 'eyK…' },
        ...{ machineName: 'PC', domain: 'CORP', hardwareId: '', joinType: 'DOMAIN' },
      }),
    ),
    vector(
      'registration request with a certificate (the token is cut)',
      'RegistrationRequest',
      encodeRegistrationRequest({
        ...{ jws: 'eyJ…', certificateProof: proof },
        ...{ machineName: 'PC', domain: 'CORP', hardwareId: '', joinType: 'DOMAIN' },
      }),
    ),
    vector(
      'registration reply: refused',
      'RegistrationReply',
      encodeRegistrationReply({
        ...{ clientId: use.CLIENT, status: 'REFUSED', reason: 'CLIENT_EXISTS', epoch: 1 },
        ...{ kid: clientKey.kid, retry: 'NEVER' },
      }),
    ),
    vector('token request (the token is cut)', 'TokenRequest', encodeTokenRequest({ jws: 'eyJ…' })),
    vector(
      'token reply (the token is cut)',
      'TokenReply',
      encodeTokenReply({ accessToken: 'eyJ', lifetimeSeconds: 28_800 }),
    ),
    vector(
      'problem',
      'Problem',
      encodeProblem({
        ...{ type: 'urn:mpe:problem:example', title: 'An example', status: 400 },
        ...{ detail: 'What was wrong and what to do.', code: 'EXAMPLE' },
      }),
    ),
  ];
}

type Name = Exclude<keyof typeof mpe.v1, `${string}${'Status' | 'Reason' | 'Type'}`>;

function vector(name: string, message: Name, bytes: Buffer): PayloadVector {
  const type = mpe.v1[message] as unknown as {
    decode(bytes: Uint8Array): object;
    toObject(decoded: object, options: object): unknown;
  };
  const fields = type.toObject(type.decode(bytes), { longs: String, enums: String });
  return {
    name,
    message,
    fields: show(fields),
    bytes: bytes.toString('hex'),
    sha256: createHash('sha256').update(bytes).digest('hex'),
  };
}

/** Values as JSON can hold them, names as the .proto files spell them. */
function show(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(show);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      show(one),
    ]),
  );
}
