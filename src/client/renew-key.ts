import { generatePrivateKey } from '../jose/index.js';
import { isMpeError } from '../ops/errors.js';
import type { ClientContext, Settings } from './context.js';
import { makeRegistration, provesAnother, sendRegistration } from './registration.js';
import type { ClientState } from './state.js';

/**
 * Registers a new key for the same client id, signed by the old key too. The new key and its
 * request are on disk before they are sent, so an interrupted renewal goes on with the same key.
 * Pending messages stay; they are signed with the new key from then on. Where the certificate has
 * changed since, the request is made anew for the same key: the old one names a certificate that the
 * channel no longer shows.
 *
 * @throws MpeError REGISTRATION_REFUSED, UNREACHABLE (call it again), NOT_AUTHENTIC.
 */
export async function renewKey(context: ClientContext, timeoutMs: number): Promise<void> {
  const { keeper, settings } = context;
  let renewal = keeper.state.renewal;
  if (renewal === null || isOutdated(renewal, settings)) {
    const fresh = renewal?.key ?? (await generatePrivateKey('ES256'));
    const { siteGuid, clientId, key } = keeper.state;
    const request = await makeRegistration({
      siteGuid,
      clientId,
      key: fresh,
      previousKey: key,
      certificate: settings.certificate,
      machine: { machineName: '', domain: '', hardwareId: '', joinType: 'UNSPECIFIED' },
      createdAtMs: settings.now(),
    });
    const { kid, x = '', y = '', d } = fresh;
    renewal = {
      key: { kty: 'EC', crv: 'P-256', kid, alg: 'ES256', x, y, d },
      request: request.toString('base64'),
      provenFrom: null,
    };
    const made = renewal;
    await keeper.update((state) => {
      state.renewal = made;
    });
  }
  const { key, request } = renewal;
  const reply = await sendRegistration(context, Buffer.from(request, 'base64'), timeoutMs);
  await keeper.update((state) => {
    if (state.renewal === null) return;
    state.key = key;
    // Not signed by anybody: the request stays until a sealed reply shows that the site has the key.
    state.renewal.provenFrom ??= state.nextSequence;
    state.epoch = Math.max(state.epoch, reply.epoch);
  });
  settings.onEvent({
    event: 'client.registered',
    clientId: keeper.state.clientId,
    epoch: keeper.state.epoch,
  });
}

/**
 * Whether a renewal's request names another certificate than the client has now. One that was
 * answered stays: the old key, which would have to sign a new request, is let go by then.
 */
function isOutdated(renewal: NonNullable<ClientState['renewal']>, { certificate }: Settings): boolean {
  return renewal.provenFrom === null && provesAnother(Buffer.from(renewal.request, 'base64'), certificate);
}

/**
 * Goes on with a renewal that was interrupted, or that no sealed reply has proven: sends its
 * request once more, which is harmless. A renewal that the site never saw would otherwise leave
 * the client with a key that nobody knows.
 *
 * @throws MpeError STATE_INVALID; what the server says or fails to say is only told.
 */
export async function resumeRenewal(context: ClientContext): Promise<void> {
  if (context.keeper.state.renewal === null) return;
  try {
    await renewKey(context, 0);
  } catch (error) {
    if (!isMpeError(error) || error.code === 'STATE_INVALID') throw error;
    context.settings.onEvent({ event: 'client.registration-waits', why: error.message });
  }
}
