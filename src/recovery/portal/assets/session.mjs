// Warns a minute before a session ends, and ends it: the count starts when the page is loaded, so that
// a page that renews itself keeps nobody signed in.
const WARN_SECONDS = 60;
/** Moments at which the count is read out. */
const SPOKEN = [60, 30, 15, 5];

export function warnBeforeEnd() {
  const dialog = document.querySelector('#session');
  if (dialog === null) return;
  const count = dialog.querySelector('.count');
  const status = dialog.querySelector('[role=status]');
  let end = Date.now() + Number(dialog.dataset.seconds) * 1000;
  let spoken = Infinity;

  const tick = () => {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    if (left === 0) return leave(dialog.dataset.ended);
    if (left > WARN_SECONDS) return undefined;
    if (!dialog.open) dialog.showModal();
    count.textContent = String(left);
    const due = SPOKEN.find((moment) => left <= moment && moment < spoken);
    if (due !== undefined) {
      spoken = due;
      status.textContent = `${left} seconds left`;
    }
    return undefined;
  };
  const stay = async () => {
    try {
      const answer = await fetch('/api/v1/session', { headers: { accept: 'application/json' } });
      if (!answer.ok) return leave(dialog.dataset.ended);
      const { secondsLeft } = await answer.json();
      end = Date.now() + secondsLeft * 1000;
      spoken = Infinity;
      dialog.close();
    } catch {
      status.textContent = 'The service does not answer. Try again.';
    }
    return undefined;
  };
  dialog.querySelector('[data-stay]').addEventListener('click', () => void stay());
  dialog.querySelector('[data-leave]').addEventListener('click', () => leave(null));
  // Escape means: I am here.
  dialog.addEventListener('cancel', (event) => {
    event.preventDefault();
    void stay();
  });
  setInterval(tick, 1000);
  tick();
}

/** Signs out by the form of the page; `next`: the session ends by itself, and a page says so. */
function leave(next) {
  const form = document.querySelector('form[action="/sign-out"]');
  if (next !== null) {
    document.querySelector('main').replaceChildren();
    const body = new URLSearchParams(new FormData(form));
    void fetch(form.action, { method: 'POST', body, redirect: 'manual' }).finally(() =>
      location.replace(next),
    );
    return;
  }
  form.submit();
}
