import type { Command } from 'commander';
import { settledLines, withClient } from './client-common.js';
import { print, printJson, table, time } from './output.js';

/** `mpe client pending`, `mpe client show`: what the state file says, without its secrets. */
export function registerShow(client: Command): void {
  client
    .command('pending')
    .description('list the messages that wait for a verified reply')
    .option('--json', 'print JSON', false)
    .action((flags: { readonly json: boolean }) =>
      withClient({}, (one) => {
        const pending = one.pending();
        if (flags.json) printJson(pending);
        else if (pending.length === 0) print('nothing is pending');
        else {
          print(
            ...table(
              ['message', 'body', 'sequence', 'made', 'last said'],
              pending.map((m) => [m.messageId, m.bodyType, m.sequence, time(m.createdAtMs), m.lastSaid]),
            ),
          );
        }
        return Promise.resolve();
      }),
    );
  client
    .command('show')
    .description('show the client: identity, site, last replies, refused keys, commands')
    .option('--json', 'print JSON', false)
    .action((flags: { readonly json: boolean }) =>
      withClient({}, (one) => {
        const held = one.held().map(({ volumeId, keyId, reason, badGroup }) => ({
          volumeId,
          keyId,
          reason,
          badGroup,
        }));
        if (flags.json) {
          printJson({
            clientId: one.clientId,
            siteGuid: one.siteGuid,
            epoch: one.epoch,
            nextSequence: String(one.nextSequence),
            siteDocumentVersion: one.site.version,
            registerAnew: one.registerAnew,
            policy: one.policy,
            checkIntervalMinutes: one.checkIntervalMinutes,
            pending: one.pending(),
            settled: one.settled(),
            held,
            heldTpmOwnerAuth: one.heldTpmOwnerAuth()?.reason ?? null,
            commands: one.commands(),
          });
          return Promise.resolve();
        }
        print(
          `client         ${one.clientId}, epoch ${one.epoch}, next sequence ${one.nextSequence.toString()}`,
          `site           ${one.site.name} ${one.siteGuid}, document version ${one.site.version}`,
          `server time    ${one.serverTimeMs === 0 ? 'no verified reply yet' : time(one.serverTimeMs)}`,
          `policy         ${one.policy === null ? 'none heard of' : one.policy.mode.toLowerCase()}, check in every ${one.checkIntervalMinutes} minutes`,
          `pending        ${one.pending().length}`,
          ...(one.registerAnew
            ? ['REGISTER ANEW: the site saw this key or sequence twice; keep all protectors']
            : []),
          ...one.settled().flatMap(settledLines),
          ...held.map(
            (h) => `held  key ${h.keyId}  ${h.reason}  group ${h.badGroup}: correct and escrow again`,
          ),
          ...(one.heldTpmOwnerAuth() === null
            ? []
            : [`held  TPM owner authorization  ${one.heldTpmOwnerAuth()?.reason ?? ''}`]),
          ...one.commands().map((c) => `command  ${c.type} volume ${c.volumeId}`),
        );
        return Promise.resolve();
      }),
    );
}
