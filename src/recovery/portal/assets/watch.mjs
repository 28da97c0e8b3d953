// Brings the newest state of a rotation into the page until nothing more will happen.
import { localTimes } from './times.mjs';

const EVERY_MS = 4000;

/** A page of the service, parsed by the browser's own loader. */
function load(href) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('GET', href);
    request.responseType = 'document';
    request.timeout = 10000;
    request.onload = () => (request.status === 200 ? resolve(request.response) : reject(request.status));
    request.onerror = request.ontimeout = reject;
    request.send();
  });
}

export function watchRotation() {
  for (const place of document.querySelectorAll('[data-watch]')) watch(place);
}

async function watch(place) {
  while (!place.querySelector('[data-ended]')) {
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    if (document.hidden) continue;
    try {
      const page = await load(place.dataset.watch);
      const next = page.querySelector('[data-rotation]');
      if (next === null) return;
      localTimes(next);
      const now = place.querySelector('[data-rotation]');
      // Nothing is read out again that did not change.
      if (now !== null && now.textContent === next.textContent) continue;
      place.replaceChildren(document.adoptNode(next));
    } catch (status) {
      // Signed out, or no network: the page keeps what it last knew.
      if (status === 401 || status === 403) return;
    }
  }
}
