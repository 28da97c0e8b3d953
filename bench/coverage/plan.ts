/** Machines of the two sites whose reports are measured. */
export const FEW = 400;
export const MANY = 40_000;

/** Volumes of a machine, each with a key: what the fill of `lookup` writes. */
export const VOLUMES = 4;

/** Tags, each of a ring of the one policy. */
export const RINGS = 4;

/** One of so many keys was shown; of those, every second one waits for its rotation. */
export const SHOWN_EVERY = 50;
export const WAITING_EVERY = 100;

export const POLICY_ID = '44440000-0000-4000-8000-000000000001';
