import type { TokenStatement } from './client-message.js';
import { mpe } from './generated/mpe.js';
import { guidToBytes } from './guid.js';
import { bytesField, decoding, guidField, malformed } from './wire.js';

/** Body of POST /v1/token. */
export interface TokenRequest {
  /** Compact JWS, typ mpe-token+jws, around a TokenStatement. */
  readonly jws: string;
}

/** Answer to POST /v1/token. */
export interface TokenReply {
  /** JWT, typ mpe-access+jwt. */
  readonly accessToken: string;
  readonly lifetimeSeconds: number;
}

/** The form of a bearer token, RFC 6750 section 2.1. */
const BEARER = /^[A-Za-z0-9._~+/-]+=*$/;

/** Answer to GET /v1/token/nonce. */
export interface NonceReply {
  /** 32 bytes. */
  readonly nonce: Uint8Array;
  readonly lifetimeSeconds: number;
}

/**
 * Reads what a client signs for a site token.
 *
 * @throws MpeError MALFORMED
 */
export function decodeTokenStatement(bytes: Uint8Array): TokenStatement {
  return decoding('TokenStatement', () => {
    const raw = mpe.v1.TokenStatement.decode(bytes);
    return {
      siteGuid: guidField(raw.siteGuid, 'TokenStatement.site_guid'),
      clientId: guidField(raw.clientId, 'TokenStatement.client_id'),
      nonce: bytesField(raw.nonce, 32, 'TokenStatement.nonce'),
    };
  });
}

/** Writes what a client signs for a site token. */
export function encodeTokenStatement(statement: TokenStatement): Buffer {
  return Buffer.from(
    mpe.v1.TokenStatement.encode({
      siteGuid: guidToBytes(statement.siteGuid),
      clientId: guidToBytes(statement.clientId),
      nonce: statement.nonce,
    }).finish(),
  );
}

/**
 * Reads the body of POST /v1/token.
 *
 * @throws MpeError MALFORMED
 */
export function decodeTokenRequest(bytes: Uint8Array): TokenRequest {
  return decoding('TokenRequest', () => {
    const { jws } = mpe.v1.TokenRequest.decode(bytes);
    if (jws === '') throw malformed('TokenRequest', 'jws is missing');
    return { jws };
  });
}

/** Writes the body of POST /v1/token. */
export function encodeTokenRequest(request: TokenRequest): Buffer {
  return Buffer.from(mpe.v1.TokenRequest.encode({ jws: request.jws }).finish());
}

/**
 * Reads the answer to POST /v1/token.
 *
 * @throws MpeError MALFORMED
 */
export function decodeTokenReply(bytes: Uint8Array): TokenReply {
  return decoding('TokenReply', () => {
    const { accessToken, lifetimeSeconds } = mpe.v1.TokenReply.decode(bytes);
    if (accessToken === '') throw malformed('TokenReply', 'access_token is missing');
    // It goes into a header as it is.
    if (!BEARER.test(accessToken)) throw malformed('TokenReply', 'access_token is no bearer token');
    return { accessToken, lifetimeSeconds };
  });
}

/** Writes the answer to POST /v1/token. */
export function encodeTokenReply(reply: TokenReply): Buffer {
  return Buffer.from(
    mpe.v1.TokenReply.encode({
      accessToken: reply.accessToken,
      lifetimeSeconds: reply.lifetimeSeconds,
    }).finish(),
  );
}

/**
 * Reads the answer to GET /v1/token/nonce.
 *
 * @throws MpeError MALFORMED
 */
export function decodeNonceReply(bytes: Uint8Array): NonceReply {
  return decoding('NonceReply', () => {
    const raw = mpe.v1.NonceReply.decode(bytes);
    return { nonce: bytesField(raw.nonce, 32, 'NonceReply.nonce'), lifetimeSeconds: raw.lifetimeSeconds };
  });
}

/** Writes the answer to GET /v1/token/nonce. */
export function encodeNonceReply(reply: NonceReply): Buffer {
  return Buffer.from(
    mpe.v1.NonceReply.encode({ nonce: reply.nonce, lifetimeSeconds: reply.lifetimeSeconds }).finish(),
  );
}
