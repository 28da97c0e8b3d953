/** How a check came out. */
export type FindingState = 'ok' | 'warn' | 'fail';

/** What one check says: in one line what is, in one line what to do. */
export interface Verdict {
  readonly state: FindingState;
  readonly text: string;
  /** null where nothing is to be done. */
  readonly fix: string | null;
}

export interface Finding extends Verdict {
  /** Stable name of the check. */
  readonly check: string;
}

/** A check: it may throw, and it may hang; {@link runCheck} turns both into a finding. */
export interface Check {
  readonly name: string;
  /** How it is told that the check itself failed. */
  readonly fix: string;
  readonly boundMs?: number;
  readonly run: () => Promise<readonly Verdict[]> | readonly Verdict[];
}

export const ok = (text: string): Verdict => ({ state: 'ok', text, fix: null });
export const warning = (text: string, fix: string): Verdict => ({ state: 'warn', text, fix });
export const failure = (text: string, fix: string): Verdict => ({ state: 'fail', text, fix });

const BOUND_MS = 8000;

/** Runs a check within its bound. Never throws: a check that fails is a finding. */
export async function runCheck({ name, fix, boundMs = BOUND_MS, run }: Check): Promise<readonly Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<readonly Verdict[]>((resolve) => {
    const text = `no answer within ${boundMs / 1000} seconds`;
    timer = setTimeout(() => resolve([failure(text, fix)]), boundMs);
  });
  // What comes too late, be it an error, interests nobody.
  const work = (async () => run())().catch((error: unknown) => [failure(reasonOf(error), fix)]);
  const verdicts = await Promise.race([work, late]);
  clearTimeout(timer);
  return verdicts.map((verdict) => ({ check: name, ...verdict, text: oneLine(verdict.text) }));
}

/** What an error says. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'failed';
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, '; ').trim();
}
