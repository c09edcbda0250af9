/** The browser's own notifications, where a page may make one. Chrome on Android knows the name, and throws. */

let canMake: boolean | null = null;

/** What the browser's owner said; null where no page can make any. */
export function notifyPermission(): NotificationPermission | null {
  if (!("Notification" in window) || !window.isSecureContext) return null;
  // Without leave nothing is shown of this one; with it, the first that is wanted finds out.
  if (canMake === null && Notification.permission !== "granted") canMake = make("") !== null;
  return canMake === false ? null : Notification.permission;
}

export function notify(title: string, body: string): void {
  if (notifyPermission() === "granted") canMake = make(title, { body }) !== null;
}

function make(title: string, options?: NotificationOptions): Notification | null {
  try {
    return new Notification(title, options);
  } catch {
    return null;
  }
}
