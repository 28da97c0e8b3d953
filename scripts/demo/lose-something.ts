import { carryOut, planFaults } from '../../test/chaos/faults.js';
import { Waves } from '../../test/chaos/waves.js';
import { Fleet } from '../../test/support/fleet.js';
import { SeededRandom } from '../../test/support/random.js';
import { auditSite } from '../../test/support/site-audit.js';
import { must, type DemoContext } from './context.js';

const MESSAGES = 500;
const CLIENTS = 20;
/** Seconds, where nothing else runs. */
const DRAIN_MS = 300_000;

/** Part 4: messages while a worker, Redis and the gateway are killed with -9 and restarted. */
export async function tryToLoseSomething(context: DemoContext, seed: number): Promise<void> {
  const { screen, engine, enrolmentToken } = context;
  screen.part(`try to lose something: ${MESSAGES} messages`);
  const random = new SeededRandom(seed);
  const client = { concurrency: 8 };
  const fleet = await Fleet.enrol({ url: engine.url, enrolmentToken, clients: CLIENTS, client });
  try {
    await fleet.prepare(MESSAGES, random);
    const faults = planFaults(random, MESSAGES, 1);
    const waves = new Waves(faults.length + 1);
    let finished = false;
    let kills = 0;
    const began = performance.now();
    const chaos = carryOut(engine, faults, {
      replies: () => fleet.replies,
      finished: () => finished,
      onFault: ({ victim, pid, atReplies }) => {
        kills += 1;
        const line = `✂ kill -9 ${victim} pid ${pid}  after ${atReplies} replies, ${fleet.inFlight} messages unanswered   (restarted)`;
        screen.say(line);
        waves.next();
      },
    });
    const report = await fleet.drain(DRAIN_MS, { gate: (index) => waves.gate(index) });
    finished = true;
    await chaos;
    const seconds = (performance.now() - began) / 1000;
    must(
      kills === faults.length,
      `${kills} of ${faults.length} kills were done: the messages ended too soon`,
    );
    must(report.pending === 0, `${report.pending} messages have no verified reply`);

    context.messages.push(...fleet.messages);
    context.told.push(...report.told);
    const told = new Set(
      report.told.filter((one) => one.disposition.endsWith('COMMITTED')).map((one) => one.messageId),
    );
    const audit = await auditSite(engine.home, context.messages, context.told, {
      secrets: context.recorded,
      outcomes: context.recordedOutcomes,
    });
    const reSent = report.sent - MESSAGES;
    const lost = audit.lost.length + audit.unreadable.length;
    const twice = audit.doubled + audit.surplus.length;
    must(told.size === MESSAGES, `${told.size} of ${MESSAGES} messages were told COMMITTED`);
    must(lost === 0, `lost: ${[...audit.lost, ...audit.unreadable].slice(0, 5).join(', ')}`);
    must(
      twice === 0,
      `there twice or unexpected: ${audit.doubled} outcomes, ${audit.surplus.slice(0, 5).join(', ')}`,
    );
    screen.ok(
      `${told.size} told COMMITTED · ${MESSAGES - audit.lost.length} in the database · ${lost} lost · ${twice} twice · ${reSent} re-sent by clients   ${seconds.toFixed(1)} s`,
    );
  } finally {
    await fleet.close();
  }
}
