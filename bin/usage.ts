/** The command line makes no sense. The message is one line that says what would. */
export class UsageError extends Error {}

/** What was asked for can't be done. The message is one line that says why. */
export class FailedError extends Error {}
