/** What the demo prints with. On a terminal lines can be redrawn and coloured; elsewhere plain text. */
export interface Screen {
  /** A numbered part: ` 2/5 one message, step by step`. */
  part(title: string): void;
  /** A line that states something that was checked. */
  ok(text: string): void;
  /** A line that tells. */
  say(text: string): void;
  /** Lines as they are. */
  plain(lines: readonly string[]): void;
  /** A bar with a count; `done` leaves it as a line with the time it took. */
  progress(title: string, total: number): Progress;
}

/** A progress bar. */
export interface Progress {
  to(count: number): void;
  done(): void;
}

const PARTS = 5;
const WIDTH = 20;

/** Milliseconds as people read them. */
export function took(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** A screen on standard output. */
export function openScreen(fancy: boolean): Screen {
  const green = (text: string): string => (fancy ? `\u001b[32m${text}\u001b[0m` : text);
  const bold = (text: string): string => (fancy ? `\u001b[1m${text}\u001b[0m` : text);
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  // Part 1 is the set-up, which has printed its own title.
  let parts = 1;
  return {
    part: (title) => {
      parts += 1;
      print(` ${bold(`${parts}/${PARTS} ${title}`)}`);
    },
    ok: (text) => print(`   ${green('✓')} ${text}`),
    say: (text) => print(`   ${text}`),
    plain: (lines) => print(lines.join('\n')),
    progress: (title, total) => {
      const began = performance.now();
      let count = 0;
      const bar = (): string => {
        const full = total === 0 ? WIDTH : Math.round((count / total) * WIDTH);
        return `   ${title}  ${'█'.repeat(full)}${'░'.repeat(WIDTH - full)} ${count}/${total}`;
      };
      return {
        to: (next) => {
          count = next;
          if (fancy) process.stdout.write(`\r${bar()}`);
        },
        done: () => print(`${fancy ? '\r' : ''}${bar()}   ${took(performance.now() - began)}`),
      };
    },
  };
}
