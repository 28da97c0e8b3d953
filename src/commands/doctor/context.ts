import { loadConfig, type Config, type Environment } from '../../config/index.js';
import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import { checkRedisSettings, readPresent, type Present, type QueueDepth } from '../../queue/index.js';
import { partsOf, type KeyPart } from '../../secrets/inventory.js';
import { openKeyFolder } from '../../secrets/key-folder.js';
import { openStore } from '../../store/open-store.js';
import type { SiteStore } from '../../store/site-store.js';
import { withRedisQueue } from '../with-queue.js';
import { requireSite } from '../with-store.js';

/** What a look at Redis came to. */
export interface RedisView {
  readonly writable: boolean;
  /** One sentence each. */
  readonly unsafe: readonly string[];
  readonly depth: QueueDepth;
  readonly present: readonly Present[];
  /** Its clock minus ours. */
  readonly aheadMs: number;
}

/**
 * What the checks share: the configuration, and one look each at database and Redis, which begins with the
 * first check that asks.
 */
export class DoctorContext {
  readonly config: Config;
  /** Problems of the configuration, a line each. */
  readonly configProblems: readonly string[];
  readonly parts: readonly KeyPart[];
  #store: Promise<SiteStore> | null = null;
  #redis: Promise<RedisView> | null = null;

  constructor(env: Environment) {
    const { config, problems } = readWhatIsRight(env);
    this.config = config;
    this.configProblems = problems;
    this.parts = partsOf(config.keysDir);
  }

  /** The database, opened for reading; it fails for every check alike. */
  store(): Promise<SiteStore> {
    this.#store ??= openStore(this.config.store, { readOnly: true });
    return this.#store;
  }

  /** The site: from the database, else from the key folder. */
  async siteGuid(): Promise<Guid> {
    try {
      return (await openKeyFolder(this.config.keysDir, 'anyone')).siteGuid;
    } catch {
      try {
        return (await requireSite(await this.store())).siteGuid;
      } catch (cause) {
        // Redis' keys carry the site.
        throw new MpeError(
          'SITE_MISMATCH',
          'not looked at: without key folder and database the site is not known',
          {
            cause,
          },
        );
      }
    }
  }

  redis(): Promise<RedisView> {
    this.#redis ??= this.#lookAtRedis();
    return this.#redis;
  }

  async #lookAtRedis(): Promise<RedisView> {
    const siteGuid = await this.siteGuid();
    return withRedisQueue(this.config, siteGuid, async (queue) => {
      const before = Date.now();
      const [seconds, micros] = await queue.redis.time();
      const middle = (before + Date.now()) / 2;
      return {
        writable: await queue.writable(),
        unsafe: await checkRedisSettings(queue.redis),
        depth: await queue.depth(),
        present: await readPresent(queue.redis, siteGuid),
        aheadMs: Number(seconds) * 1000 + Number(micros) / 1000 - middle,
      };
    });
  }
}

/** With a broken setting the rest is judged as if it were not set: the fewest surprises on the worst day. */
function readWhatIsRight(env: Environment): {
  readonly config: Config;
  readonly problems: readonly string[];
} {
  const problems: string[] = [];
  let rest: Environment = env;
  for (let tries = 0; tries < 5; tries += 1) {
    try {
      return { config: loadConfig(rest), problems };
    } catch (error) {
      if (!(error instanceof MpeError)) throw error;
      const lines = error.message
        .split('\n')
        .slice(1)
        .map((line) => line.trim());
      problems.push(...lines);
      const named = new Set(lines.flatMap((line) => line.match(/MPE_[A-Z0-9_]+/g) ?? []));
      rest = Object.fromEntries(
        Object.entries(rest).filter(([name]) => !named.has(name) && !named.has(name.replace(/_FILE$/, ''))),
      );
    }
  }
  return { config: loadConfig({}), problems };
}
