import type { FastifyInstance } from 'fastify';
import { issueAccessToken, MAX_TOKEN_LIFETIME_SECONDS, peekKid, verify } from '../../jose/index.js';
import { assertNever, isMpeError } from '../../ops/errors.js';
import type { TokenStatement } from '../../protocol/client-message.js';
import type { PublicJwk } from '../../protocol/jwk.js';
import { decodeTokenRequest, decodeTokenStatement, encodeTokenReply } from '../../protocol/site-token.js';
import type { ClientRow } from '../../store/site-store.js';
import type { GatewayContext } from '../context.js';
import { requireProtobuf } from '../guards.js';
import { HttpProblem } from '../problems.js';
import { readSigned } from '../read-signed.js';
import { sendProtobuf } from '../respond.js';

const TYP = 'mpe-token+jws';
const BODY_BYTES = 8 * 1024;

/**
 * POST /v1/token: a proof of the client's registered key over a fresh nonce in, a site token out.
 * No time of the client's is looked at.
 */
export function postToken(server: FastifyInstance, context: GatewayContext): void {
  server.post(
    '/v1/token',
    { bodyLimit: BODY_BYTES, onRequest: [context.limits.address, requireProtobuf] },
    async (request, reply) => {
      const { jws, statement, kid } = readProof(request.body as Buffer);
      await assertNonce(context, statement);
      const client = await findClient(context, statement);
      await assertProof(context, client, jws, kid, statement);
      assertState(client);
      const lifetimeSeconds = MAX_TOKEN_LIFETIME_SECONDS;
      const accessToken = await issueAccessToken(
        {
          siteGuid: context.siteGuid,
          clientId: client.clientId,
          epoch: client.epoch,
          lifetimeSeconds,
          nowMs: context.clock.now(),
        },
        await context.ownKeys.tokenKey(),
      );
      return sendProtobuf(request, reply, 200, encodeTokenReply({ accessToken, lifetimeSeconds }));
    },
  );
}

interface Proof {
  readonly jws: string;
  /** As claimed; the signature is not verified yet. */
  readonly statement: TokenStatement;
  readonly kid: string;
}

function readProof(body: Buffer): Proof {
  return readSigned(() => {
    const { jws } = decodeTokenRequest(body);
    const kid = peekKid(jws, TYP);
    const payload = Buffer.from(jws.split('.', 2)[1] ?? '', 'base64url');
    return { jws, kid, statement: decodeTokenStatement(payload) };
  });
}

/** The nonce is used up first, so that no proof can be tried twice. */
async function assertNonce(context: GatewayContext, statement: TokenStatement): Promise<void> {
  if (await context.nonces.take(statement.nonce)) return;
  throw new HttpProblem(
    'NONCE_INVALID',
    'The nonce is unknown, used or older than 60 seconds. Get a new one (GET /v1/token/nonce).',
  );
}

async function findClient(context: GatewayContext, statement: TokenStatement): Promise<ClientRow> {
  const client = await context.store.findClient(statement.clientId);
  if (client !== null) return client;
  context.log.warn({
    event: 'gateway.token_refused',
    clientId: statement.clientId,
    reason: 'CLIENT_UNKNOWN',
  });
  throw new HttpProblem(
    'CLIENT_UNKNOWN',
    'The site does not know this client. Keep every protector and every message, back off and ask again; never register anew by yourself: an operator decides.',
  );
}

/** The proof is signed by the client's current key, for this site. */
async function assertProof(
  context: GatewayContext,
  client: ClientRow,
  jws: string,
  kid: string,
  statement: TokenStatement,
): Promise<void> {
  const key = client.keys.find((candidate) => candidate.epoch === client.epoch);
  try {
    if (statement.siteGuid === context.siteGuid && key?.kid === kid) {
      await verify(jws, TYP, JSON.parse(key.publicJwk) as PublicJwk);
      return;
    }
  } catch (error) {
    if (!isMpeError(error, 'CANNOT_OPEN') && !isMpeError(error, 'KID_UNKNOWN')) throw error;
  }
  context.log.warn({ event: 'gateway.token_refused', clientId: client.clientId, reason: 'PROOF_INVALID' });
  throw new HttpProblem(
    'PROOF_INVALID',
    "The proof is not by this client's current key for this site. Back off; do not register anew by yourself.",
  );
}

/** After the proof, so that only the client itself learns its state. */
function assertState(client: ClientRow): void {
  switch (client.state) {
    case 'ACTIVE':
      return;
    case 'BLOCKED':
      throw new HttpProblem(
        'CLIENT_BLOCKED',
        'An operator blocked this client. Keep every protector and every message; ask the operator.',
      );
    case 'PENDING':
      throw new HttpProblem('CLIENT_PENDING', 'The registration waits for an operator. Ask again later.');
    default:
      assertNever(client.state);
  }
}
