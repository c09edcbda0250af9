CREATE TABLE `channels` (
	`id` text PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL,
	`kind` text(20) NOT NULL,
	`name` text NOT NULL,
	`language` text(10) NOT NULL,
	`groups` text NOT NULL,
	`instances` text,
	`buttons` integer NOT NULL,
	`target` text NOT NULL,
	`has_token` integer NOT NULL,
	`sealed` text NOT NULL,
	`off` text(20),
	`created_at` integer NOT NULL,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `idx_channels_user` ON `channels` (`user_id`);--> statement-breakpoint
CREATE TABLE `deliveries` (
	`id` text PRIMARY KEY NOT NULL,
	`channel_id` text NOT NULL,
	`user_id` text(100) NOT NULL,
	`notice` text NOT NULL,
	`created_at` integer NOT NULL,
	`state` text(20) NOT NULL,
	`tries` integer DEFAULT 0 NOT NULL,
	`last_try_at` integer,
	`next_try_at` integer,
	`status` integer,
	`code` text(20),
	`answer` text,
	`took_ms` integer
);
--> statement-breakpoint
CREATE INDEX `idx_deliveries_channel` ON `deliveries` (`channel_id`,`created_at`);--> statement-breakpoint
CREATE INDEX `idx_deliveries_due` ON `deliveries` (`user_id`,`next_try_at`) WHERE next_try_at IS NOT NULL;--> statement-breakpoint
CREATE TABLE `pressed` (
	`id` text PRIMARY KEY NOT NULL,
	`expires_at` integer NOT NULL
);
