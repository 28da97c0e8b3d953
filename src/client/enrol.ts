import { hostname } from 'node:os';
import { generatePrivateKey, verifySiteDocument } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import { parseEnrolmentToken } from '../protocol/enrolment-token.js';
import { newGuid, type Guid } from '../protocol/guid.js';
import type { ClientOptions, Settings } from './context.js';
import { siteAgent } from './refresh-site.js';
import {
  holdsAnotherToken,
  makeRegistration,
  provesAnother,
  sendRegistration,
  type Machine,
  type RegistrationInput,
} from './registration.js';
import { clientSettings, gatewayUrl } from './settings.js';
import { fetchSite } from './site.js';
import { StateFile } from './state-file.js';
import { StateKeeper } from './state-keeper.js';
import type { StateStore } from './state-store.js';

/** What enrolment needs. */
export interface EnrolOptions extends ClientOptions {
  /** A gateway, e.g. `https://mp1.example.org:8443`. */
  readonly url: string;
  /** The whole text, `mpe1.…`. */
  readonly enrolmentToken: string;
  /** The client's folder, or a store. One client, one folder. */
  readonly state: string | StateStore;
  /** Hints for operators. Default: this host's name. */
  readonly machine?: Partial<Machine>;
  /** How long to wait for the registration, milliseconds. Default 60,000. */
  readonly registrationTimeoutMs?: number;
  /** The client id that a certificate or device token names. Default: a new one. */
  readonly clientId?: Guid;
}

/** The client's store from a folder's path, or as given. */
export function openState(state: string | StateStore): StateStore {
  return typeof state === 'string' ? StateFile.open(state) : state;
}

/**
 * Enrols: believes the site by the token's root thumbprint, makes key and client id, has them on
 * disk, registers. Running it again in the same folder goes on with the same key and request; with a
 * certificate or a token that changed since, the request is made anew for the same key. Where the client
 * is registered already it does nothing.
 *
 * @throws MpeError NOT_AUTHENTIC (not the token's site), REGISTRATION_REFUSED, UNREACHABLE,
 *   STATE_INVALID (the folder belongs to another site), STATE_LOCKED, VALUE_INVALID (the token).
 */
export async function enrolState(
  store: StateStore,
  options: EnrolOptions,
): Promise<{ keeper: StateKeeper; settings: Settings }> {
  const settings = clientSettings(options);
  const url = gatewayUrl(options.url);
  const token = parseEnrolmentToken(options.enrolmentToken);
  const keeper = (await StateKeeper.load(store)) ?? (await firstState(store, url, token, options, settings));
  const { siteGuid, gatewayCa } = keeper.state;
  if (siteGuid !== token.siteGuid || !(await sameRoot(keeper.state, token.rootThumbprint))) {
    throw new MpeError(
      'STATE_INVALID',
      'the folder holds a client of another site; use a folder of its own for each enrolment',
    );
  }
  const request = await pendingRequest(keeper, token.secret, options, settings);
  if (request === null) {
    // Another gateway of the same site.
    if (keeper.state.url !== url.origin) await keeper.update((state) => void (state.url = url.origin));
    return { keeper, settings };
  }

  const agent = siteAgent(gatewayCa, settings);
  try {
    const reply = await sendRegistration(
      { agent, url, settings },
      request,
      options.registrationTimeoutMs ?? 60_000,
    );
    await keeper.update((state) => {
      state.url = url.origin;
      state.registered = true;
      state.epoch = Math.max(reply.epoch, 1);
      // Holds the token's secret, which is not needed any more.
      state.registrationRequest = null;
    });
    settings.onEvent({
      event: 'client.registered',
      clientId: keeper.state.clientId,
      epoch: keeper.state.epoch,
    });
  } finally {
    agent.destroy();
  }
  return { keeper, settings };
}

/**
 * The request that waits for its answer; null where there is none. It goes out as it was kept, unless
 * nobody can accept it any more: one that proves by a former certificate, which the channel no longer
 * shows, or that holds a token in whose place the caller has another. Then it is made anew, and kept.
 */
async function pendingRequest(
  keeper: StateKeeper,
  secret: Uint8Array,
  options: EnrolOptions,
  settings: Settings,
): Promise<Buffer | null> {
  const { registrationRequest, siteGuid, clientId, key } = keeper.state;
  if (registrationRequest === null) return null;
  const kept = Buffer.from(registrationRequest, 'base64');
  if (!provesAnother(kept, settings.certificate) && !holdsAnotherToken(kept, secret)) return kept;
  const request = await requestOf({ siteGuid, clientId, key, secret }, options, settings);
  await keeper.update((state) => void (state.registrationRequest = request.toString('base64')));
  return request;
}

/** A first registration, with what the client says of its machine. */
function requestOf(
  client: Pick<RegistrationInput, 'siteGuid' | 'clientId' | 'key' | 'secret'>,
  { machine }: EnrolOptions,
  settings: Settings,
): Promise<Buffer> {
  return makeRegistration({
    ...client,
    certificate: settings.certificate,
    machine: {
      machineName: machine?.machineName ?? hostname(),
      domain: machine?.domain ?? '',
      hardwareId: machine?.hardwareId ?? '',
      joinType: machine?.joinType ?? 'UNSPECIFIED',
    },
    createdAtMs: settings.now(),
  });
}

/** Whether a token's root is the pinned one, or one before it from which the held document leads on. */
async function sameRoot(
  { rootThumbprint, siteDocument }: StateKeeper['state'],
  tokenRoot: string,
): Promise<boolean> {
  if (rootThumbprint === tokenRoot) return true;
  return verifySiteDocument(siteDocument, tokenRoot).then(
    () => true,
    () => false,
  );
}

async function firstState(
  store: StateStore,
  url: URL,
  token: ReturnType<typeof parseEnrolmentToken>,
  options: EnrolOptions,
  settings: Settings,
): Promise<StateKeeper> {
  const { siteGuid, rootThumbprint, secret } = token;
  const site = await fetchSite({ url, siteGuid, rootThumbprint, heldVersion: 0 }, settings.timeoutMs);
  const key = await generatePrivateKey('ES256');
  const clientId = options.clientId ?? newGuid();
  const request = await requestOf({ siteGuid, clientId, key, secret }, options, settings);
  const { kid, x = '', y = '', d } = key;
  return StateKeeper.create(store, {
    format: 1,
    url: url.origin,
    siteGuid,
    rootThumbprint: site.document.rootKey.kid,
    siteDocument: site.jws,
    siteDocumentVersion: site.document.version,
    gatewayCa: site.ca,
    clientId,
    key: { kty: 'EC', crv: 'P-256', kid, alg: 'ES256', x, y, d },
    registered: false,
    registrationRequest: request.toString('base64'),
    renewal: null,
    epoch: 0,
    nextSequence: '1',
    messages: [],
    held: [],
    heldTpmOwnerAuth: null,
    safe: {},
    commands: [],
    rotating: [],
    commandsAtMs: 0,
    serverTimeMs: 0,
    registerAnew: false,
    policy: null,
    policyAtMs: 0,
    settled: [],
  });
}
