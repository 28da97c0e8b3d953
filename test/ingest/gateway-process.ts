import { join } from 'node:path';
import type { Gateway } from '../../src/ingest/gateway.js';
import { EngineProcess } from '../support/engine-process.js';

/** A gateway that is a process of its own: what its event loop and its memory do is its own doing. */
export interface GatewayProcess extends Gateway {
  readonly process: EngineProcess;
}

/**
 * Starts `mpe gateway` from dist/.
 *
 * @param env - `MPE_*` settings, all of them
 * @param folder - for its log
 */
export async function startGatewayProcess(
  env: Readonly<Record<string, string>>,
  folder: string,
): Promise<GatewayProcess> {
  const process = EngineProcess.start({
    name: 'gateway',
    args: ['gateway'],
    env: { PATH: globalThis.process.env['PATH'] ?? '', HOME: folder, ...env },
    logFile: join(folder, 'gateway.log'),
  });
  const line = await process.waitForEvent('gateway.listening');
  return {
    process,
    port: Number(line['port']),
    opsPort: Number(line['opsPort']),
    close: async () => {
      await process.stop();
    },
  };
}

/** What a gateway says of itself, from its own /metrics. */
export interface Vitals {
  /** The longest time, since the last look, for which its event loop did nothing else; ms. */
  readonly longestMs: number;
  /** Resident memory, bytes. */
  readonly residentBytes: number;
  /** Live objects of JavaScript and buffers outside its heap, bytes; more than is in use while garbage waits. */
  readonly heapBytes: number;
}

/** Reads {@link Vitals} from the text of /metrics. */
export function readVitals(metrics: string): Vitals {
  const value = (name: string): number => {
    const line = metrics.split('\n').find((one) => one.startsWith(`${name} `));
    if (line === undefined) throw new Error(`no metric ${name}`);
    return Number(line.slice(name.length + 1));
  };
  return {
    longestMs: value('mpe_event_loop_delay_seconds{quantile="1"}') * 1000,
    residentBytes: value('process_resident_memory_bytes'),
    heapBytes: value('nodejs_heap_size_used_bytes') + value('nodejs_external_memory_bytes'),
  };
}
