/** The command line makes no sense. The message is one line that says what would. */
export class UsageError extends Error {}
