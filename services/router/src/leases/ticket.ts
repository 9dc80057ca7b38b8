/** What a ticket says. It is a capacity hint for the hoster's admission, never an authorization. */
export interface TicketClaims {
  readonly leaseId: string;
  readonly model: string;
  readonly nodeId: string;
  readonly incarnation: string;
  readonly principal: string;
  /** Wall clock, milliseconds. */
  readonly expiresMs: number;
}

/** Makes the opaque string that travels as the ticket. */
export interface TicketSigner {
  /** One for each, in order. */
  signAll(claims: readonly TicketClaims[]): Promise<string[]> | string[];
}
