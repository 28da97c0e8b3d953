import { createHash } from 'node:crypto';
import type { RegistrationSettings } from '../config/index.js';
import type { Clock } from '../ops/clock.js';
import { MpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import type { MessageReply, RegistrationReply } from '../protocol/client-message.js';
import type { Guid } from '../protocol/guid.js';
import type { KeyFolder } from '../secrets/key-folder.js';
import type { SiteStore } from '../store/site-store.js';
import { Pipeline } from '../workers/pipeline.js';
import type { BuiltMessage, BuiltRegistration } from './built-case.js';
import type { Answer, ChannelFacts, RegistrationHints, ReplayTarget } from './target.js';

/** What {@link PipelineTarget} needs. */
export interface PipelineTargetOptions {
  readonly store: SiteStore;
  readonly keyFolder: KeyFolder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly quarantineMax: number;
  /** null: the default. */
  readonly registration: RegistrationSettings | null;
}

/** Deliveries of one message before a replay gives up on it. */
const MAX_TRIES = 20;

/** Sends fixtures straight into the workers' pipeline: no HTTP, no queue, the real store. */
export class PipelineTarget implements ReplayTarget {
  readonly kind = 'in-process';
  readonly #options: PipelineTargetOptions;
  readonly #pipeline: Pipeline;
  #keysWritten = 0;

  private constructor(options: PipelineTargetOptions, pipeline: Pipeline) {
    this.#options = options;
    this.#pipeline = pipeline;
  }

  /** Opens the site of a store. @throws MpeError SITE_MISMATCH, KEY_FOLDER_INVALID */
  static async create(options: PipelineTargetOptions): Promise<PipelineTarget> {
    const { store, keyFolder, clock, log, quarantineMax, registration } = options;
    const pipeline = await Pipeline.create({
      ...{ store, keyFolder, clock, log, quarantineMax },
      ...(registration === null ? {} : { registration }),
      by: 'replay',
      // A case adds a sealing key and sends at once; there is no flood to hold back here.
      reloadEveryMs: 0,
    });
    return new PipelineTarget(options, pipeline);
  }

  async register(built: BuiltRegistration, hints: RegistrationHints): Promise<Answer<RegistrationReply>> {
    const hash = (secret: string): string =>
      createHash('sha256').update(Buffer.from(secret, 'base64url')).digest('hex');
    const reply = await this.#pipeline.processRegistration({
      v: 1,
      kind: 'registration',
      clientId: built.clientId,
      registrationId: built.registrationId,
      jws: built.jws,
      previousKeyJws: built.previousKeyJws,
      enrolmentTokenHash: built.enrolmentToken === null ? null : hash(built.enrolmentToken),
      ...hints,
      gatewayId: 'replay',
      receivedAtMs: this.#options.clock.now(),
    });
    return { kind: 'reply', reply, status: null };
  }

  async send(built: BuiltMessage, channel: ChannelFacts): Promise<Answer<MessageReply>> {
    const clientId = channel.clientId ?? built.clientId;
    const epoch = await this.#epochOf(clientId, channel.key.kid);
    let alone = false;
    for (let attempt = 1; attempt <= MAX_TRIES; attempt += 1) {
      const processed = await this.#pipeline.processMessage(
        {
          v: 1,
          kind: 'message',
          clientId: built.clientId,
          messageId: built.messageId,
          bodyType: built.bodyType,
          sentAtMs: built.sentAtMs,
          sealed: built.sealed,
          traceparent: '',
          tracestate: '',
          channel: { method: 'site-token', clientId, epoch },
          gatewayId: 'replay',
          receivedAtMs: this.#options.clock.now(),
        },
        { alone, attempt },
      );
      if (processed.verdict === 'done') {
        this.#keysWritten += processed.keysWritten;
        return { kind: 'reply', reply: processed.reply, status: null };
      }
      // Everything here is sent one by one, so whatever runs, runs alone.
      alone = true;
    }
    throw new MpeError(
      'UNREACHABLE',
      `message ${built.messageId} was put off ${MAX_TRIES} times; see the log`,
    );
  }

  keysWritten(): number {
    return this.#keysWritten;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #epochOf(clientId: Guid, kid: string): Promise<number> {
    const client = await this.#options.store.findClient(clientId);
    return client?.keys.find((key) => key.kid === kid)?.epoch ?? client?.epoch ?? 1;
  }
}
