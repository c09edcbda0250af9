CREATE TABLE `audit_log` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`team_id` text,
	`at` text NOT NULL,
	`actor` text NOT NULL,
	`token_id` text,
	`role` text,
	`route` text NOT NULL,
	`instance_id` text,
	`target` text,
	`status` integer NOT NULL,
	`code` text,
	`request_id` text NOT NULL,
	`origin` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `idx_audit_log_team` ON `audit_log` (`team_id`,`id`);--> statement-breakpoint
CREATE TABLE `members` (
	`team_id` text NOT NULL,
	`user_id` text NOT NULL,
	`role` text NOT NULL,
	`name` text NOT NULL,
	`created_at` text NOT NULL,
	PRIMARY KEY(`team_id`, `user_id`),
	FOREIGN KEY (`team_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `idx_members_user` ON `members` (`user_id`);--> statement-breakpoint
CREATE TABLE `provider_keys` (
	`account` text PRIMARY KEY NOT NULL,
	`team_id` text NOT NULL,
	`sealed` text NOT NULL,
	`hint` text NOT NULL,
	`created_at` text NOT NULL,
	`last_used_at` text,
	`trouble` text,
	`trouble_at` text,
	`retired_at` text,
	FOREIGN KEY (`team_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `idx_provider_keys_team` ON `provider_keys` (`team_id`) WHERE "provider_keys"."retired_at" IS NULL;--> statement-breakpoint
ALTER TABLE `api_tokens` ADD `team_id` text;--> statement-breakpoint
ALTER TABLE `api_tokens` ADD `role` text;--> statement-breakpoint
ALTER TABLE `api_tokens` ADD `instances` text;--> statement-breakpoint
ALTER TABLE `api_tokens` ADD `last_used_at` text;--> statement-breakpoint
ALTER TABLE `instance_status` ADD `provider_account` text;--> statement-breakpoint
ALTER TABLE `users` ADD `home_team` text;