import { mpe } from './generated/mpe.js';
import { decoding } from './wire.js';

/** An HTTP error before the queue (RFC 9457), for clients that asked for protobuf. */
export interface Problem {
  /** URI reference of the problem type. */
  readonly type: string;
  readonly title: string;
  /** The HTTP status. */
  readonly status: number;
  readonly detail: string;
  /** Stable literal code. */
  readonly code: string;
}

/** Writes a problem in protobuf form. */
export function encodeProblem(problem: Problem): Buffer {
  const { type, title, status, detail, code } = problem;
  return Buffer.from(mpe.v1.Problem.encode({ type, title, status, detail, code }).finish());
}

/**
 * Reads a problem in protobuf form.
 *
 * @throws MpeError MALFORMED
 */
export function decodeProblem(bytes: Uint8Array): Problem {
  return decoding('Problem', () => {
    const { type, title, status, detail, code } = mpe.v1.Problem.decode(bytes);
    return { type, title, status, detail, code };
  });
}
