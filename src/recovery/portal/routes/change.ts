import type { FastifyReply } from 'fastify';
import { isMpeError, type MpeError } from '../../../ops/errors.js';
import type { PageRequest } from '../page-routes.js';
import { FormBody } from '../form-body.js';
import { doneOf, type Done, type Outcome, type Problem } from '../parts/outcome.js';
import { sentence } from '../parts/sentence.js';

/** Where a form leads, and what is said there. */
export interface Change {
  readonly to: string;
  readonly done: Done;
}

/**
 * Does what a form asks for and leads to the page that says so. What cannot be done is answered with the
 * page of the form again: it says why, and keeps what was typed.
 *
 * @param labels - what fields are called on the page, by the name that the rules have for them
 */
export async function change(
  page: PageRequest,
  work: (body: FormBody) => Promise<Change>,
  again: (outcome: Outcome, body: FormBody) => Promise<FastifyReply>,
  labels: Labels = {},
): Promise<FastifyReply> {
  const body = FormBody.of(page.request);
  try {
    const { to, done } = await work(body);
    return await page.reply.redirect(`${to}?done=${done}`, 303);
  } catch (error) {
    const problem = problemOf(error, labels);
    if (problem === null) throw error;
    return again({ done: null, problem }, body);
  }
}

/** The outcome that the address of a page names. */
export function outcomeOf({ request }: PageRequest): Outcome {
  return { done: doneOf(new FormBody(request.query).text('done')), problem: null };
}

/** By the name of a setting: the name of its field, and what that is called. */
export type Labels = Readonly<Record<string, readonly [field: string, label: string]>>;

function problemOf(error: unknown, labels: Labels): Problem | null {
  if (isMpeError(error, 'POLICY_CHANGED'))
    return {
      title: 'Somebody else was first',
      sentences: [
        'The policy was changed since this page was loaded. Nothing of yours was saved: look at it as it is now.',
      ],
      status: 409,
      fields: {},
    };
  if (!isMpeError(error, 'VALUE_INVALID') && !isMpeError(error, 'USAGE')) return null;
  return { title: 'That was not done', status: 400, ...told(error, labels) };
}

/** A message with several problems has a line for each, behind the first; one may begin with a setting. */
function told({ message }: MpeError, labels: Labels): Pick<Problem, 'sentences' | 'fields'> {
  // Options of the command line say nothing here.
  const [first = '', ...rest] = message
    .replaceAll(/ \(--[^)]*\)/g, '')
    .split('\n')
    .map((line) => line.trim());
  const fields: Record<string, string> = {};
  const sentences = (rest.length === 0 ? [first] : rest).map((line) => {
    // `name: …`, or `ring 2, tag: …` of one in a list.
    const [, setting = '', part, what = ''] = /^([A-Za-z]+)( \d+, \w+)?: (.+)$/.exec(line) ?? [];
    const [field, label] = labels[setting] ?? [];
    if (field === undefined || label === undefined) return sentence(line);
    fields[field] ??= sentence(part === undefined ? what : line);
    return sentence(part === undefined ? `${label}: ${what}` : line);
  });
  return { sentences, fields };
}
