CREATE TABLE `proxy_keys` (
	`id` text PRIMARY KEY NOT NULL,
	`instance_id` text(100) NOT NULL,
	`name` text NOT NULL,
	`hash` text NOT NULL,
	`wakes_per_hour` integer,
	`created_at` text NOT NULL,
	`expires_at` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `proxy_keys_hash_unique` ON `proxy_keys` (`hash`);--> statement-breakpoint
CREATE INDEX `idx_proxy_keys_instance` ON `proxy_keys` (`instance_id`);