import { isMpeError } from '../ops/errors.js';
import type { MessageReply } from '../protocol/client-message.js';

/** A run that came to an answer. */
export interface Answer {
  readonly kind: 'answer';
  readonly reply: MessageReply;
  readonly cause: string;
  readonly written: boolean;
  readonly keysWritten: number;
}

/** What one run of a message came to. */
export type Run =
  | Answer
  | { readonly kind: 'transient'; readonly error: Error }
  | { readonly kind: 'failed'; readonly error: Error };

/** An answer for which nothing was written. */
export const answerRun = (reply: MessageReply, cause: string): Answer => ({
  kind: 'answer',
  reply,
  cause,
  written: false,
  keysWritten: 0,
});

/** A fault for logs and dead letters: code and text of our own errors, the class of others. */
export function describe(error: Error): string {
  return isMpeError(error) ? `${error.code}: ${error.message}` : `${error.name}: ${error.message}`;
}
